"""What decoding a clip costs with Wan's autoencoder, whole, in tiles or in pieces, and with the lighter ones."""

import multiprocessing
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from dvface.config.build import build
from dvface.contracts import latent_frames
from dvface.models.autoencoders.base import VideoAutoencoder

if TYPE_CHECKING:
    from dvface.models.autoencoders.wan import WanAutoencoder

STATUS = Path("/proc/self/status")
"""Where Linux tells the most memory that a process has held."""
PIECE = 3
"""Latent frames of a piece of a clip that is decoded in pieces."""


@dataclass(frozen=True)
class Decoding:
    """What decoding one clip took.

    Attributes:
        seconds: of the processor, all threads together; of the clock on a GPU.
        memory: bytes above those held before, at most; None where the system does not tell.
        parameters: of the whole autoencoder.
        shape: of the video that came out.
    """

    seconds: float
    memory: int | None
    parameters: int
    shape: tuple[int, ...]


def decode_whole(autoencoder: VideoAutoencoder, latents: Tensor) -> Tensor:
    """All at once as the restorer does it; Wan's goes through time latent frame by latent frame anyway."""
    return autoencoder.decode(latents)


def decode_tiled(autoencoder: VideoAutoencoder, latents: Tensor) -> Tensor:
    """Wan's by diffusers' tiles of half the height and width, which share a quarter of theirs and are cross-faded."""
    height, width = (side * autoencoder.spatial_stride for side in latents.shape[3:])
    network = cast("WanAutoencoder", autoencoder).network
    mean, deviation = (
        latents.new_tensor(network.config[name]).view(1, -1, 1, 1, 1) for name in ("latents_mean", "latents_std")
    )
    network.enable_tiling(height // 2, width // 2, height * 3 // 8, width * 3 // 8)
    try:
        return cast(Tensor, network.tiled_decode(latents * deviation + mean).sample)
    finally:
        network.disable_tiling()


def decode_chunked(autoencoder: VideoAutoencoder, latents: Tensor) -> Tensor:
    """In pieces of `PIECE` latent frames that share one, as windows of a long video do; each begins without a past."""
    count, step = latents.shape[2], PIECE - 1
    *before, last = (
        autoencoder.decode(latents[:, :, start : start + PIECE]) for start in range(0, max(1, count - 1), step)
    )
    # a piece's last frame is the next one's first
    return torch.cat([*(piece[:, :, :-1] for piece in before), last], dim=2)


WAYS: dict[str, Callable[[VideoAutoencoder, Tensor], Tensor]] = {
    "whole": decode_whole,
    "tiled": decode_tiled,
    "chunked": decode_chunked,
}


def measure_decoding(
    tree: Mapping[str, Any], way: str, frames: int, size: int, device: str, rounds: int, seed: int
) -> Decoding:
    """Decode random latents with random weights, in a process of its own so that the memory is its own.

    Args:
        tree: the autoencoder's ``_target_`` tree.
        way: of `WAYS`.
        frames: of the clip, 4k+1.
        size: its side in pixels, a multiple of 64.
        device: ``cpu``, in float32, or ``cuda``, in bfloat16.
        rounds: the fastest counts; one more warms up.
        seed: of weights and latents.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(_measure, dict(tree), way, frames, size, device, rounds, seed).result()


def _measure(
    tree: Mapping[str, Any], way: str, frames: int, size: int, device: str, rounds: int, seed: int
) -> Decoding:
    torch.manual_seed(seed)
    autoencoder: VideoAutoencoder = build(tree).to(device).eval()
    shape = latent_frames(frames, autoencoder.temporal_stride), *(2 * (size // autoencoder.spatial_stride,))
    latents = torch.randn(1, autoencoder.latent_channels, *shape, device=device)
    gpu = device == "cuda"
    clock = time.perf_counter if gpu else time.process_time
    settle = torch.cuda.synchronize if gpu else lambda: None
    seconds: list[float] = []
    held = _held("VmRSS", torch.cuda.memory_allocated if gpu else None)
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16) if gpu else nullcontext():
        for _ in range(rounds + 1):
            settle()
            began = clock()
            video = WAYS[way](autoencoder, latents)
            settle()
            seconds.append(clock() - began)
    most = _held("VmHWM", torch.cuda.max_memory_allocated if gpu else None)
    return Decoding(
        min(seconds[1:]),
        None if held is None or most is None else most - held,
        sum(parameter.numel() for parameter in autoencoder.parameters()),
        tuple(video.shape),
    )


def _held(key: str, of_gpu: Callable[[], int] | None) -> int | None:
    """Bytes: what the GPU's tensors hold, or what Linux says under ``key`` of this process."""
    if of_gpu is not None:
        return of_gpu()
    found = re.search(rf"^{key}:\s+(\d+) kB$", STATUS.read_text("ascii"), re.MULTILINE) if STATUS.is_file() else None
    return None if found is None else int(found[1]) * 1024
