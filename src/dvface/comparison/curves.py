"""Learning curves: each variant's mean over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dvface.comparison.variants import Variant
from dvface.report.lines import Line, line_plot

SHOWN = ("train/loss", "held_out/")
"""Beginnings of the names of curves that are drawn."""


@dataclass(frozen=True)
class Curve:
    """A picture of one number of one stage.

    Attributes:
        stage: whose.
        name: of the number.
        picture: SVG.
    """

    stage: str
    name: str
    picture: str


def curves(variants: Sequence[Variant]) -> list[Curve]:
    """One picture for each number that any variant logged, stage by stage."""
    logged = [[run.curves() for run in variant.runs.values()] for variant in variants]
    names = dict.fromkeys(
        (stage, name)
        for runs in logged
        for run in runs
        for stage, numbers in run.items()
        for name in numbers
        if name.startswith(SHOWN)
    )
    found = []
    for stage, name in names:
        lines = [
            mean_line(variant.label, [run.get(stage, {}).get(name, []) for run in runs])
            for variant, runs in zip(variants, logged, strict=True)
        ]
        if any(line.values for line in lines):
            found.append(Curve(stage, name, line_plot(f"{stage} {name}", lines, over="step")))
    return found


def mean_line(label: str, of_seeds: Sequence[Sequence[tuple[int, float]]]) -> Line:
    """The mean over seeds at the steps that all of them logged, between the least and the greatest.

    Args:
        label: whose.
        of_seeds: (step, value) of each seed; seeds without any count for nothing.
    """
    finite = [{step: value for step, value in points if np.isfinite(value)} for points in of_seeds]
    finite = [points for points in finite if points]
    if not finite:
        return Line(label, [], [])
    steps = sorted(set.intersection(*(set(points) for points in finite)))
    values = np.array([[points[step] for points in finite] for step in steps]).reshape(len(steps), len(finite))
    ranges = np.stack([values.min(axis=1), values.max(axis=1)], axis=1).tolist() if len(finite) > 1 and steps else []
    return Line(label, steps, values.mean(axis=1).tolist(), [(low, high) for low, high in ranges])
