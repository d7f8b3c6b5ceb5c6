"""What a look at all frames leaves: which face is where in which frame. Numbers only."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dvface.errors import UserError
from dvface.files import write_text

LAYOUT = 1
"""Number of the JSON's layout; another one is not read."""


@dataclass(frozen=True)
class FaceTrack:
    """One face from the first frame in which it was seen to the last.

    Attributes:
        first: frame of the video, counted from 0.
        landmarks: (T, 5, 2) float64 x, y as `Face.landmarks`, in the video's pixels: between the frames in which the
            face was seen interpolated, and without jitter.
        seen: (T,) bool: in which frames a detector found it; the first and the last are among them.
        opens: whether it is there when its scene begins; else it appears.
        closes: whether it is there when its scene ends; else it leaves.
    """

    first: int
    landmarks: NDArray[np.float64]
    seen: NDArray[np.bool_]
    opens: bool
    closes: bool

    @property
    def stop(self) -> int:
        """The frame after its last."""
        return self.first + len(self.landmarks)


@dataclass(frozen=True)
class Faces:
    """The faces of a video.

    Attributes:
        detector: name of the network that found them.
        frames: how many the video has.
        cuts: first frames of its scenes, but for the first scene.
        tracks: by first frame, larger faces first.
        dropped: tracks that were left out because they were too short.
        too_small: sightings of faces that were left out because they were too small.
    """

    detector: str
    frames: int
    cuts: tuple[int, ...]
    tracks: tuple[FaceTrack, ...]
    dropped: int
    too_small: int

    def write(self, path: str | Path) -> None:
        """Write JSON that `read` reads to the same numbers; the file appears only when whole."""
        tracks = [
            {
                "first": track.first,
                "opens": track.opens,
                "closes": track.closes,
                "seen": track.seen.astype(int).tolist(),
                "landmarks": track.landmarks.reshape(-1, 10).tolist(),
            }
            for track in self.tracks
        ]
        facts = {name: value for name, value in vars(self).items() if name != "tracks"}
        write_text(path, json.dumps({"layout": LAYOUT, **facts, "tracks": tracks}, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Reopen what `write` wrote.

        Raises:
            UserError: the file is missing, damaged or of another layout.
        """
        try:
            values: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
            if values.pop("layout") != LAYOUT:
                raise ValueError("another layout")
            tracks = tuple(_track(track) for track in values.pop("tracks"))
            return cls(**{**values, "cuts": tuple(values["cuts"])}, tracks=tracks)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{path} is no record of a video's faces ({error}); delete it to look again") from error


def _track(values: dict[str, Any]) -> FaceTrack:
    landmarks = np.array(values["landmarks"], np.float64).reshape(-1, 5, 2)
    seen = np.array(values["seen"], bool)
    if len(seen) != len(landmarks) or not len(seen):
        raise ValueError(f"{len(seen)} frames of {len(landmarks)}")
    return FaceTrack(int(values["first"]), landmarks, seen, bool(values["opens"]), bool(values["closes"]))
