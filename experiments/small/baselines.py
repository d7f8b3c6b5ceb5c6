"""What a practitioner has without a model: plain sharpening, and plain scaling, of each degraded video of a folder.

Run: .venv/bin/python experiments/small/baselines.py FOLDER/input FOLDER
Writes FOLDER/sharpened and FOLDER/bicubic, exact, beside what `dvface evaluate checkpoint=…` has written there.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from dvface.video.probe import probe
from dvface.video.read import read_frames
from dvface.video.write import EXACT, write_video


def sharpened(frame: np.ndarray) -> np.ndarray:
    """Unsharp mask as image editors have it: 100 % of what a Gaussian of 1.5 pixels takes away is added."""
    blurred = cv2.GaussianBlur(frame, (0, 0), 1.5)
    return cv2.addWeighted(frame, 2.0, blurred, -1.0, 0)


def bicubic(frame: np.ndarray) -> np.ndarray:
    """Halved by area, which averages noise and codec blocks, and enlarged again by bicubic interpolation."""
    height, width = frame.shape[:2]
    small = cv2.resize(frame, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


BASELINES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"sharpened": sharpened, "bicubic": bicubic}

if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    for video in sorted(source.iterdir()):
        rate = probe(video).rate
        for name, change in BASELINES.items():
            (target / name).mkdir(parents=True, exist_ok=True)
            write_video(target / name / video.name, map(change, read_frames(video)), rate, **EXACT)
