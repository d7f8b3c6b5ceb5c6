"""Faces through dlib alone: a detector whose weights every installation has."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from dvface.perception.detection import Face
from dvface.perception.shrink import shrink
from dvface.weights.catalogue import DLIB_LANDMARKS_68


class DlibDetector:
    """`FaceDetector`: dlib's HOG detector and its 68-point landmarks (King 2009, Kazemi & Sullivan 2014), on the CPU.

    It sees upright, roughly frontal faces only. The landmark file was trained on iBUG 300-W, whose licence excludes
    commercial use.

    Args:
        side: frames whose longer side has more pixels are shrunk to it to find faces, those that fit in twofold are
            doubled; the least face found has 80 pixels there. It depends on nothing but the frames' size, so that no
            face comes and goes with it. Landmarks are read from the frame itself.
        least_score: faces below are left out; what is no face has up to about 0.1, clear faces have 1 to 3.

    Raises:
        WeightsMissing: the landmark file cannot be had.
    """

    def __init__(self, side: int = 640, least_score: float = 0.1) -> None:
        import dlib

        path = DLIB_LANDMARKS_68.find()
        self.name = "dlib HOG, 68 landmarks"
        self.files = (path.name,)
        self.side = side
        self.least_score = least_score
        self._rectangle = dlib.rectangle
        self._detector = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(str(path))

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """See `FaceDetector.detect`."""
        return [self._look(np.ascontiguousarray(frame)) for frame in frames]

    def _look(self, frame: NDArray[np.uint8]) -> list[Face]:
        height, width = frame.shape[:2]
        if 2 * max(height, width) <= self.side:
            resized = cv2.resize(frame, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
        else:
            resized = shrink(frame, self.side)
        rectangles, scores, _ = self._detector.run(resized, 0, self.least_score)
        scale = np.tile((width / resized.shape[1], height / resized.shape[0]), 2)
        found = []
        for rectangle, score in zip(rectangles, scores, strict=True):
            edges = np.array([rectangle.left(), rectangle.top(), rectangle.right(), rectangle.bottom()])
            # pixels keep their centres at whole numbers
            box = (edges + 0.5) * scale - 0.5
            outline = self._landmarks(frame, self._rectangle(*(round(edge) for edge in box)))
            landmarks = five_of(np.array([(point.x, point.y) for point in outline.parts()]))
            found.append(Face(box=box.astype(np.float32), landmarks=landmarks, score=float(score)))
        return sorted(found, key=lambda face: face.side, reverse=True)


def five_of(outline: NDArray[np.int_]) -> NDArray[np.float32]:
    """(5, 2) `Face.landmarks` from iBUG 300-W's points (68, 2): middles of the eyes, nose tip, mouth corners."""
    eyes = (outline[36:42].mean(axis=0), outline[42:48].mean(axis=0))
    return np.stack((*eyes, outline[30], outline[48], outline[54])).astype(np.float32)
