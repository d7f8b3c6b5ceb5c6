"""How fast `dvface evaluate` is against pyiqa metric by metric: same clips, same weights, same machine, one run."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from dvface.benchmarks.footage import talking_head
from dvface.data.stream import to_tensor
from dvface.evaluation.evaluate import Measures, evaluate
from dvface.evaluation.measure import metric_factories
from dvface.metrics.base import ClipMetric, MeanMetric
from dvface.metrics.perceptual import PerceptualDistance
from dvface.metrics.segment import blocks_of, in_groups, segments
from dvface.video.colour import COMMON
from dvface.video.read import read_frames
from dvface.video.write import GOOD, LOSSLESS, write_video

RIVALS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "psnr": ("psnr", {}),
    "psnr_y": ("psnry", {"color_space": "ycbcr"}),
    "ssim": ("ssim", {"test_y_channel": False}),
    "ms_ssim": ("ms_ssim", {"test_y_channel": False}),
    "lpips_alex": ("lpips", {}),
    "lpips_vgg": ("lpips-vgg", {}),
    "dists": ("dists", {}),
}
"""Our measures with a reference -> pyiqa's name for the same, and what makes it the same."""

Rival = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Timed:
    """One measure on frames in memory.

    Attributes:
        name: of the measure.
        ours: seconds a frame.
        network: seconds a frame that its network alone takes, 0 where it has none.
        rival: seconds a frame of pyiqa, None where it is not installed.
        difference: |ours − pyiqa's| of the clip's number, relative to pyiqa's.
    """

    name: str
    ours: float
    network: float
    rival: float | None
    difference: float | None


@dataclass(frozen=True)
class Whole:
    """From two files to numbers, all measures, seconds of the clock.

    Attributes:
        ours: `dvface evaluate` with its guards and records.
        rival: pyiqa metric by metric, frame by frame, as scripts do it: both videos decoded for each metric.
        kind_rival: pyiqa with both videos decoded once.
    """

    ours: float
    rival: float | None
    kind_rival: float | None


def has_rival() -> bool:
    """Whether pyiqa is installed."""
    return find_spec("pyiqa") is not None


def write_clip(folder: Path, frames: int, size: int) -> tuple[Path, Path]:
    """Write a talking head, clean and heavily compressed, as ``clean.mp4`` and ``restored.mp4``: (restored, clean)."""
    clean = (talking_head(1, frames, size)[0] * 255).round().astype(np.uint8)
    blurred = [cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in clean]
    write_video(folder / "clean.mp4", clean, Fraction(30), **LOSSLESS)
    write_video(folder / "restored.mp4", blurred, Fraction(30), options={**GOOD, "crf": "32"})
    return folder / "restored.mp4", folder / "clean.mp4"


def read_tensor(path: Path) -> Tensor:
    """(3, T, H, W) float32 in [-1, 1]."""
    return to_tensor(np.stack(list(read_frames(path, COMMON))))


def time_measures(
    trees: Mapping[str, Mapping[str, Any]], restored: Tensor, clean: Tensor, rivals: Mapping[str, Rival], rounds: int
) -> list[Timed]:
    """Each measure alone on (3, T, H, W) frames in memory; the fastest of ``rounds``."""
    timed = []
    frames = restored.shape[1]
    for name, build in metric_factories({name: trees[name] for name in RIVALS if name in trees}).items():
        metric = build()
        assert isinstance(metric, MeanMetric)
        ours, value = _fastest(partial(_watch, metric, restored, clean), rounds)
        network, _ = _fastest(partial(_network_alone, metric, restored, clean), rounds)
        rival, other = None, None
        if name in rivals:
            rival, other = _fastest(partial(_frame_by_frame, rivals[name], restored, clean), rounds)
        timed.append(
            Timed(
                name,
                ours / frames,
                network / frames if isinstance(metric, PerceptualDistance) else 0.0,
                None if rival is None else rival / frames,
                None if other is None else abs(value - other) / max(abs(other), 1e-12),
            )
        )
    return timed


def time_whole(
    trees: Mapping[str, Mapping[str, Any]], restored: Path, clean: Path, rivals: Mapping[str, Rival], scratch: Path
) -> Whole:
    """From files to numbers, once each: the first measures have warmed everything up."""
    began = perf_counter()
    evaluate({"restored": restored}, clean, Measures(trees, True), scratch / "out", "strict", lambda line: None)
    ours = perf_counter() - began
    if not rivals:
        return Whole(ours, None, None)
    chosen = [rivals[name] for name in trees]
    began = perf_counter()
    for rival in chosen:
        for one, other in _decoded(restored, clean):
            rival(one, other)
    plain = perf_counter() - began
    began = perf_counter()
    for one, other in _decoded(restored, clean):
        for rival in chosen:
            rival(one, other)
    return Whole(ours, plain, perf_counter() - began)


@contextmanager
def same_weights(folder: Path, files: Mapping[str, Path]) -> Iterator[None]:
    """Have torchvision, and so pyiqa, find these trunks where it keeps what it fetched.

    Args:
        folder: a scratch folder.
        files: torchvision's file name -> the file.
    """
    checkpoints = folder / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    for name, file in files.items():
        (checkpoints / name).symlink_to(file.resolve())
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(folder / "hub"))
    try:
        yield
    finally:
        torch.hub.set_dir(before)


def make_rivals(names: Sequence[str], heads: Mapping[str, Path]) -> dict[str, Rival]:
    """pyiqa's metrics by our names.

    Args:
        names: of our measures.
        heads: measure -> file of its own weights, in the authors' layout, for those that have one.
    """
    import pyiqa

    made: dict[str, Rival] = {}
    for name in names:
        model, options = RIVALS[name]
        own = {"pretrained_model_path": os.fspath(heads[name])} if name in heads else {}
        made[name] = pyiqa.create_metric(model, device=torch.device("cpu"), **options, **own)
    return made


def _watch(metric: MeanMetric, restored: Tensor, clean: Tensor) -> float:
    with torch.inference_mode():
        found = [metric.look(segment) for segment in segments(blocks_of(restored, clean))]
    return float(metric.of_clip(torch.cat(found)))


def _network_alone(metric: ClipMetric, restored: Tensor, clean: Tensor) -> float:
    if isinstance(metric, PerceptualDistance):
        with torch.inference_mode():
            pairs = zip(in_groups(restored.transpose(0, 1)), in_groups(clean.transpose(0, 1)), strict=True)
            for one, other in pairs:
                network: nn.Module = metric.network
                network(one, other)
    return 0.0


def _frame_by_frame(rival: Rival, restored: Tensor, clean: Tensor) -> float:
    one, other = ((video.transpose(0, 1) + 1) / 2 for video in (restored, clean))
    return float(np.mean([float(rival(one[index, None], other[index, None])) for index in range(len(one))]))


def _decoded(restored: Path, clean: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Both videos' frames in step, (1, 3, H, W) in [0, 1]."""
    for both in zip(read_frames(restored, COMMON), read_frames(clean, COMMON), strict=True):
        one, other = (torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255 for frame in both)
        yield one, other


def _fastest(work: Callable[[], float], rounds: int) -> tuple[float, float]:
    best, value = float("inf"), 0.0
    for _ in range(rounds + 1):  # one more to warm up
        began = perf_counter()
        value = work()
        best = min(best, perf_counter() - began)
    return best, value
