from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from tests.evaluation.videos import moving

from dvface.evaluation.reading import pieces
from dvface.evaluation.synchrony import Run
from dvface.video.write import write_video


def test_what_is_measured_are_the_pixels_that_other_peoples_scripts_see(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving(5, side=64), Fraction(25))  # H.264 4:2:0, where conversions differ
    (piece,) = pieces(tmp_path / "a.mp4", None, [Run(0, 0, 5)])
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    theirs = np.stack([cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in range(5)])
    assert np.array_equal(piece.restored, theirs)
