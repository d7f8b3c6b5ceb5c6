"""What was measured already, one file a clip, so that an evaluation that was cut short goes on."""

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dvface.evaluation.results import WorstFrame
from dvface.files import text_sha256, whole_file
from dvface.video.read import frame_files

NUMBERS, WORST, MADE_BY = "numbers", "worst", "made_by"


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

    def read(self, clip: str, makers: Mapping[str, str]) -> Record | None:
        """What is known of ``clip`` by measures that still would find the same; None where nothing is.

        Args:
            clip: its name.
            makers: measure -> what its evidence depends on, as `maker` gives it.
        """
        path = self._path(clip)
        try:
            with safe_open(path, "pt") as file:
                about = {key: json.loads(text) for key, text in file.metadata().items()}
                known = [name for name, made_by in about[MADE_BY].items() if makers.get(name) == made_by]
                evidence = {name: file.get_tensor(name) for name in known}
        # a file that somebody cut short or wrote otherwise is measured anew
        except (OSError, SafetensorError, ValueError, KeyError, AttributeError, struct.error):
            return None
        if not known:
            return None
        return Record(evidence, about[NUMBERS], [WorstFrame(**frame) for frame in about[WORST]])

    def write(self, clip: str, record: Record, makers: Mapping[str, str]) -> None:
        """Keep what is known of ``clip``; the file appears when whole."""
        about = {
            NUMBERS: record.numbers,
            WORST: [asdict(frame) for frame in record.worst],
            MADE_BY: {name: makers[name] for name in record.evidence},
        }
        tensors = {name: evidence.contiguous() for name, evidence in record.evidence.items()}
        with whole_file(self._path(clip)) as temporary:
            save_file(tensors, temporary, {key: json.dumps(value) for key, value in about.items()})

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
