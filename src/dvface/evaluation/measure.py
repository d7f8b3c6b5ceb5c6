"""Restored clips against clean clips."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dvface.config.build import TARGET, build
from dvface.data.stream import to_tensor
from dvface.metrics.base import ClipMetric
from dvface.metrics.suite import MetricSuite
from dvface.weights import noting_finds


@dataclass(frozen=True)
class Measured:
    """What was measured on one set of clips.

    Attributes:
        values: measure to value.
        left_out: measure to the reason why it has no value.
        networks: measure to the file name of its network, or None where it has none.
        clips: each clip's own numbers, in order: measure to finite value, without those that have none.
    """

    values: dict[str, float]
    left_out: dict[str, str]
    networks: dict[str, str | None]
    clips: list[dict[str, float]]


def metric_factories(trees: Mapping[str, Mapping[str, Any]]) -> dict[str, Callable[[], ClipMetric]]:
    """Each measure's configuration as a factory, so that a missing network leaves out that measure only.

    Networks that are described alike are one object for all measures: it is loaded once, and what it sees in a
    segment is shared.
    """
    known: dict[str, Built] = {}
    return {name: partial(_metric, tree, known) for name, tree in trees.items()}


Built = tuple[Any, list[Path]]
"""Something built, and the weights files that were found for it."""


def _metric(tree: Mapping[str, Any], known: dict[str, Built]) -> ClipMetric:
    metric, files = _build(tree, known)
    metric.files = tuple(dict.fromkeys(files))
    return metric


def _build(tree: Mapping[str, Any], known: dict[str, Built]) -> Built:
    """`build`, with the parts of ``tree`` that were built before taken from ``known``."""
    parts = {key: value for key, value in tree.items() if isinstance(value, Mapping) and TARGET in value}
    built: dict[str, Any] = {}
    files: list[Path] = []
    for key, part in parts.items():
        text = json.dumps(part, sort_keys=True)
        if text not in known:
            known[text] = _build(part, known)
        built[key] = known[text][0]
        files += known[text][1]
    with noting_finds() as own:
        if not built:
            return build(tree), own
        rest = {key: value for key, value in tree.items() if key not in built}
        return build({**rest, "_partial_": True})(**built), files + own


def measure(
    metrics: Mapping[str, Callable[[], ClipMetric]], clips: Iterable[tuple[np.ndarray, np.ndarray]]
) -> Measured:
    """Every measure, averaged over clips.

    Args:
        metrics: name to what makes the measure.
        clips: restored and clean frames of each clip, (T, H, W, 3) uint8 twice.
    """
    suite = MetricSuite(metrics)
    of_clips: list[dict[str, float]] = []
    with torch.inference_mode():
        for restored, clean in clips:
            (evidence,) = suite.update(to_tensor(restored)[None], to_tensor(clean)[None])
            numbers = suite.of_clip(evidence)
            of_clips.append({name: number for name, number in numbers.items() if math.isfinite(number)})
        values = suite.compute()
    return Measured(values, dict(suite.left_out), dict(suite.networks), of_clips)
