"""The outline of a face: dlib's 68 points, read in the field's aligned square."""

import numpy as np
from numpy.typing import NDArray

from dvface.perception.alignment import TEMPLATE
from dvface.perception.face_crops import ALIGNED_SIDE
from dvface.perception.faces import box_of
from dvface.weights.catalogue import DLIB_LANDMARKS_68


class DlibOutline:
    """68 points of an aligned face by an ensemble of regression trees (Kazemi & Sullivan 2014), on the CPU.

    The file was trained on iBUG 300-W, whose licence excludes commercial use. The points are whole pixels.

    Attributes:
        file_name: of the landmark file.

    Raises:
        WeightsMissing: the landmark file cannot be had.
    """

    def __init__(self) -> None:
        import dlib

        path = DLIB_LANDMARKS_68.find()
        self.file_name = path.name
        # all faces lie alike in the aligned square, so dlib's box does too
        self._box = dlib.rectangle(*box_of(TEMPLATE * ALIGNED_SIDE))
        self._landmarks = dlib.shape_predictor(str(path))

    def points(self, face: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(68, 2) x, y in iBUG's order, in pixels of ``face``, (512, 512, 3) uint8 RGB from `aligned_face`."""
        return np.array([(point.x, point.y) for point in self._landmarks(face, self._box).parts()], np.float64)
