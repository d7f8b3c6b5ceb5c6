"""What a finished run left in its folder, as far as it is compared."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from dvface.errors import UserError, nearest
from dvface.tracking.provenance import read_provenance
from dvface.training.curves import read_curves
from dvface.training.run_folder import RunFolder, read_config, read_state

RESTORED, INPUT = "restored", "input"
Numbers = Mapping[str, Mapping[str, float]]
"""Clip -> measure -> its number."""


class NotComparedError(UserError):
    """A run that has nothing to compare; the sentence says why."""


@dataclass(frozen=True)
class FinishedRun:
    """One run, measured on one set of held-out footage. A clip is known by the SHA-256 of its content.

    Attributes:
        folder: of the run.
        seed: of the run.
        config: what it was started with, not resolved.
        means: measure -> number of the restored side, as ``metrics.json`` has it.
        input_means: the same of the degraded side.
        clips: numbers of the restored side; empty for a run of before they were kept.
        input_clips: the same of the degraded side.
        clip_names: clip -> its name.
        videos: clip -> name of its videos, as in ``restored-NAME.mp4``.
        left_out: measure -> why it has no number.
        parameters: of the whole network.
        seconds: from start to end, without pauses.
        source: SHA-256 of the code that trained it.
        commit: of the checkout, with what stood in it besides; None for a run of before it was kept.
    """

    folder: Path
    seed: int
    config: DictConfig
    means: Mapping[str, float]
    input_means: Mapping[str, float]
    clips: Numbers
    input_clips: Numbers
    clip_names: Mapping[str, str]
    videos: Mapping[str, str]
    left_out: Mapping[str, str]
    parameters: int
    seconds: float
    source: str
    commit: str | None

    def numbers(self, measure: str, side: str = RESTORED) -> dict[str, float]:
        """Clip -> number of those that have one."""
        clips = self.clips if side == RESTORED else self.input_clips
        return {clip: found[measure] for clip, found in clips.items() if measure in found}

    def curves(self) -> dict[str, dict[str, list[tuple[int, float]]]]:
        """Stage -> name of a curve -> (step, value)."""
        stages = sorted(self.folder.glob("stages/*/curves.jsonl"))
        return {path.parent.name: read_curves(path) for path in stages}


def read_run(path: Path, footage: str) -> FinishedRun:
    """The run in a folder.

    Raises:
        NotComparedError: it is not finished, or has not measured this footage.
        UserError: a file of it is damaged.
    """
    folder = RunFolder(path)
    if not folder.state.is_file():
        raise NotComparedError("it has not begun")
    state = read_state(folder)
    if not state.finished:
        raise NotComparedError("it is not finished")
    if not folder.metrics.is_file():
        raise NotComparedError("it measured nothing: its last stage is not the restorer")
    try:
        found = json.loads(folder.metrics.read_text(encoding="utf-8"))
        known = found["footage"]
        if footage not in known:
            raise NotComparedError(
                f"it did not measure footage={footage}{nearest(footage, known)} ({', '.join(known)})"
            )
        config, record = read_config(folder), read_provenance(path)
        return FinishedRun(
            folder=path,
            seed=int(config.seed),
            config=config,
            means=known[footage][RESTORED],
            input_means=known[footage][INPUT],
            clips=_clips(found, footage, RESTORED),
            input_clips=_clips(found, footage, INPUT),
            clip_names={digest: name for name, digest in _of(found, "clips_sha256", footage).items()},
            videos=_by_digest(found, footage, _of(found, "videos", footage)),
            left_out=found["left_out"],
            parameters=int(found["parameters"]["total"]),
            seconds=float(found["seconds"]),
            source=state.source,
            commit=None if record is None else f"{record.commit}{' and changes' if record.dirty else ''}",
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder.metrics} is damaged; name other runs") from error


def _of(found: Mapping[str, Any], key: str, footage: str) -> Mapping[str, Any]:
    part: Mapping[str, Any] = found.get(key, {}).get(footage, {})
    return part


def _by_digest(found: Mapping[str, Any], footage: str, values: Mapping[str, Any]) -> dict[str, Any]:
    digests = _of(found, "clips_sha256", footage)
    return {digests[name]: value for name, value in values.items()}


def _clips(found: Mapping[str, Any], footage: str, side: str) -> dict[str, dict[str, float]]:
    lines = _of(found, "clips", footage).get(side, [])
    values = {line["name"]: {name: number for name, number in line.items() if name != "name"} for line in lines}
    return _by_digest(found, footage, values)
