"""Run folders whose numbers are known, written by what training writes them with."""

import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf

from dvface.config.compose import load
from dvface.data.pairs import VideoPair
from dvface.evaluation.measure import Measured
from dvface.files import write_text
from dvface.tracking.run import NoRun
from dvface.training.finish import draw, report
from dvface.training.records import RunLogger
from dvface.training.run_folder import RunFolder, RunState, write_state

RATE = Fraction(25)
Numbers = Callable[[int, int], Mapping[str, float]]
"""Seed and clip -> measure -> number."""


@cache
def configuration(words: tuple[str, ...]) -> DictConfig:
    return load("train", words)


def pair(clip: int, footage: str = "held_out", draw_of: int = 0) -> VideoPair:
    """A clip of its own content for each number and draw."""
    frames = np.full((3, 16, 16, 3), 10 * clip + draw_of, np.uint8)
    return VideoPair(footage, f"clip-{clip}", frames, frames + 100, RATE)


def fabricate(
    folder: Path,
    numbers: Numbers,
    seed: int = 0,
    words: Sequence[str] = (),
    clips: Sequence[int] = range(12),
    finished: bool = True,
    draw_of: int = 0,
    videos: bool = False,
    source: str = "one",
) -> Path:
    """A run that measured ``numbers`` on clips; its input is 1 below in every measure."""
    run, pairs = RunFolder(folder), [pair(clip, draw_of=draw_of) for clip in clips]
    tree = configuration(tuple(words)).copy()
    tree.seed = seed
    write_text(run.config, OmegaConf.to_yaml(tree))
    write_state(run, RunState("none", 60.0, finished, source))
    for step in (0, 10):
        RunLogger(NoRun(), "restorer", run.curves("restorer")).log_metrics({"train/loss": seed + step}, step)
    if not finished:
        return folder
    restored = [dict(numbers(seed, clip)) for clip in clips]
    before = [{name: value - 1 for name, value in found.items()} for found in restored]
    sides = {"input": before, "identity": before, "restored": restored}
    measured = {side: Measured(_means(found), {"fvd": "no network"}, {}, found) for side, found in sides.items()}
    names = {}
    if videos:
        names = draw(folder, pairs, [one.clean for one in pairs], NoRun())
    found = report({"held_out": measured}, pairs, names, {"total": 2_000_000}, 90.0)
    write_text(run.metrics, json.dumps(found))
    return folder


def _means(clips: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([clip[name] for clip in clips])) for name in (clips[0] if clips else {})}
