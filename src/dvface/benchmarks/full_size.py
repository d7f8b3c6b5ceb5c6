"""How long a model takes for one clip, part by part: the full-size one on a GPU, a small one anywhere."""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from dvface.models.memory import peak_memory
from dvface.models.restorer import Restorer

PAPER_SECONDS = 15.13
"""Supplement, table 2: for one clip; neither its size nor the GPU is told there."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class ClipSize:
    """Frames, height and width in pixels, written ``33x720x1280``."""

    frames: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.frames}×{self.height}×{self.width}"


@dataclass(frozen=True)
class Restored:
    """What restoring one clip took.

    Attributes:
        seconds: by part, those of the fastest round.
        memory: bytes at most, see `dvface.models.memory.peak_memory`.
    """

    seconds: Mapping[str, float]
    memory: int

    @property
    def total(self) -> float:
        """Seconds of all parts."""
        return sum(self.seconds.values())


def check_clip(model: Restorer, clip: ClipSize) -> None:
    """Refuse a clip that the model does not take.

    Raises:
        ValueError: frames are not 4k+1, or sides no multiple of what the model needs.
    """
    if (clip.frames - 1) % model.temporal_stride:
        raise ValueError(f"{clip.frames} frames are not {model.temporal_stride}k+1")
    if clip.height % model.spatial_multiple or clip.width % model.spatial_multiple:
        raise ValueError(f"{clip.height}×{clip.width} pixels are no multiple of {model.spatial_multiple}")


def time_clip(model: Restorer, clip: ClipSize, rounds: int, bfloat16: bool) -> Restored:
    """Restore a clip of noise, part by part, waiting for the device after each.

    Args:
        model: in evaluation mode, on its device, compiled or not.
        clip: that the model takes.
        rounds: of which the fastest counts; one more warms up and compiles.
        bfloat16: under autocast; encoding stays in float32 as always.
    """
    device = next(model.parameters()).device
    settle = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    generator = torch.Generator(device).manual_seed(0)
    video = torch.rand(1, 3, clip.frames, clip.height, clip.width, device=device, generator=generator) * 2 - 1
    precision = torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext()
    found: list[dict[str, float]] = []
    with torch.inference_mode(), precision:
        for _ in range(rounds + 1):
            found.append(_parts(model, video, settle))
    return Restored(min(found[1:], key=lambda seconds: sum(seconds.values())), peak_memory(device))


def _parts(model: Restorer, video: torch.Tensor, settle: Callable[[], Any]) -> dict[str, float]:
    seconds: dict[str, float] = {}

    def timed(part: str, work: Callable[[], Result]) -> Result:
        settle()
        began = time.perf_counter()
        result = work()
        settle()
        seconds[part] = time.perf_counter() - began
        return result

    views = model.views(video)
    degraded = timed("encode latents", lambda: views.latents)
    prior = timed("prior", lambda: model.prior(views))
    latents = timed("backbone", lambda: model.backbone(degraded, prior))
    decoded = timed("decode latents", lambda: model.autoencoder.decode(latents))
    timed("refinement", lambda: model.refinement(decoded, video))
    return seconds
