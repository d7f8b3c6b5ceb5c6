"""What was measured already, one file a clip, so that an evaluation that was cut short goes on."""

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dvface.evaluation.results import WorstFrame
from dvface.files import text_sha256, whole_file
from dvface.video.read import frame_files

STATE, NUMBERS, WORST, MADE_BY = "state", "numbers", "worst", "made_by"


@dataclass(frozen=True)
class Record:
    """What is known of one clip, see `dvface.evaluation.clip.Looked`."""

    evidence: Mapping[str, Tensor]
    numbers: list[int]
    worst: list[WorstFrame]


class Records:
    """The clips of one method that were measured.

    Args:
        folder: where their files lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, clip: str, state: str, makers: Mapping[str, str]) -> Record | None:
        """What is known of ``clip`` by measures that still would find the same; None where nothing is.

        Args:
            clip: its name.
            state: digest of its videos and of which frames are compared.
            makers: measure -> digest of what else its evidence depends on.
        """
        found = self._all(clip, state)
        if found is None:
            return None
        record, made_by = found
        known = {name: seen for name, seen in record.evidence.items() if makers.get(name) == made_by[name]}
        return replace(record, evidence=known) if known else None

    def write(self, clip: str, state: str, record: Record, makers: Mapping[str, str]) -> None:
        """Keep what is known of ``clip``, also by measures that are not asked now; the file appears when whole."""
        evidence, made_by = dict(record.evidence), {name: makers[name] for name in record.evidence}
        before = self._all(clip, state)
        if before is not None:
            for name in before[0].evidence.keys() - makers.keys():
                evidence[name], made_by[name] = before[0].evidence[name], before[1][name]
        about = {
            STATE: state,
            NUMBERS: record.numbers,
            WORST: [asdict(frame) for frame in record.worst],
            MADE_BY: made_by,
        }
        tensors = {name: seen.contiguous() for name, seen in evidence.items()}
        with whole_file(self._path(clip)) as temporary:
            save_file(tensors, temporary, {key: json.dumps(value) for key, value in about.items()})

    def _all(self, clip: str, state: str) -> tuple[Record, dict[str, str]] | None:
        """All that is known of a clip in this state, and what made each measure's evidence."""
        try:
            with safe_open(self._path(clip), "pt") as file:
                about = {key: json.loads(text) for key, text in file.metadata().items()}
                evidence = {name: file.get_tensor(name) for name in about[MADE_BY]}
                record = Record(evidence, about[NUMBERS], [WorstFrame(**frame) for frame in about[WORST]])
                return (record, about[MADE_BY]) if about[STATE] == state else None
        # a file that somebody cut short or wrote otherwise is measured anew
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, struct.error):
            return None

    def _path(self, clip: str) -> Path:
        return self._folder / f"{clip}.safetensors"


def maker(*parts: Any) -> str:
    """A digest of everything that evidence depends on."""
    return text_sha256(json.dumps(parts, sort_keys=True, default=str))


def state_of(path: Path | None) -> list[Any]:
    """What tells a video, or a folder of frames, from what it was before: names, sizes and times of change."""
    if path is None:
        return []
    files = frame_files(path) if path.is_dir() else [path]
    return [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
