"""What is degraded in benchmarks: real footage that every machine has."""

import cv2
import numpy as np

from dvface.data.footage import CARPHONE, read_packaged
from dvface.degradation.operator import Clip


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
