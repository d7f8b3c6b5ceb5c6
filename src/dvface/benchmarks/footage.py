"""What benchmarks work on: real footage that every machine has."""

from pathlib import Path

import cv2
import numpy as np

from dvface.data.footage import CARPHONE, RATE, read_packaged
from dvface.degradation.operator import Clip
from dvface.video.write import write_video


def talking_head(clips: int, frames: int, size: int) -> list[Clip]:
    """Clips of the talking man in a car, enlarged to size × size, (frames, size, size, 3) float32 in [0, 1]."""
    video = read_packaged(CARPHONE)
    starts = np.linspace(0, max(0, len(video) - frames), clips).astype(int)
    return [
        np.stack(
            [
                cv2.resize(frame, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
                for frame in video[start : start + frames]
            ]
        )
        for start in starts.tolist()
    ]


def write_talking_head(folder: Path, height: int = 1080) -> Path:
    """Write the talking man in a car as H.264 of ``height`` rows, as footage comes; returns the folder."""
    video = read_packaged(CARPHONE)
    width = round(video.shape[2] * height / video.shape[1] / 2) * 2
    larger = (cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC) for frame in video)
    write_video(folder / "talking head.mp4", larger, RATE)
    return folder
