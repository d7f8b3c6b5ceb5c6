"""Filters on how the face looks: sharpness and light."""

import cv2
import numpy as np

from dvface.data_prep.prepare.face_clip import FaceClip, Verdict
from dvface.data_prep.prepare.filters.face_region import evenly, faces
from dvface.data_prep.prepare.filters.verdicts import above, below, verdict

SHARPNESS_SIDE = 256
SHARPNESS_FRAMES = 16
LIGHT_SIDE = 64
LIGHT_FRAMES = 5


class Sharpness:
    """Refuses blurred faces, and such as were enlarged or compressed until nothing fine was left.

    Measures ``sharpness``: variance of the Laplacian (Pech-Pacheco et al. 2000) of the face's luma (levels of 255) in
    a square of 256 pixels, so that crops of 512 pixels and more compare; smaller crops are enlarged and measure
    lower. Of at most 16 frames, evenly spread, the lowest decile counts: a clip is as good as its blurred moments.

    Sharpness lies in the light and the skin too: soft light on a young face measures low in the best footage, and
    noise measures high. Of 26 real talking heads the lowest gave 5, the median 23 and the highest 172; blurred with
    sigma 2 in crops of 512 pixels they gave 3 to 10, shrunk threefold and enlarged again 4 to 26.

    Args:
        least: of ``sharpness``.
    """

    def __init__(self, least: float) -> None:
        self.least = least

    def __call__(self, clip: FaceClip) -> Verdict:
        """See `Filter`."""
        looks = faces(clip, SHARPNESS_SIDE, evenly(len(clip.frames), SHARPNESS_FRAMES))
        variances = []
        for face in looks:
            _, deviation = cv2.meanStdDev(cv2.Laplacian(face, cv2.CV_16S))
            variances.append(float(deviation.item()) ** 2)
        sharpness = float(np.quantile(variances, 0.1))
        return verdict({"sharpness": sharpness}, below("sharpness", sharpness, self.least))


class Brightness:
    """Refuses faces that are too dark or burnt out.

    Measures ``brightness``: mean luma of the face, 0 to 255, over at most 5 frames.

    Args:
        least: of ``brightness``.
        most: of ``brightness``.
    """

    def __init__(self, least: float, most: float) -> None:
        self.least, self.most = least, most

    def __call__(self, clip: FaceClip) -> Verdict:
        """See `Filter`."""
        mean = float(np.mean(_light(clip)))
        return verdict(
            {"brightness": mean}, below("brightness", mean, self.least), above("brightness", mean, self.most)
        )


class Contrast:
    """Refuses faces in fog: veiled, faded or hidden behind something of one colour.

    Measures ``contrast``: standard deviation of the face's luma, levels of 255, mean over at most 5 frames.

    Args:
        least: of ``contrast``.
    """

    def __init__(self, least: float) -> None:
        self.least = least

    def __call__(self, clip: FaceClip) -> Verdict:
        """See `Filter`."""
        contrast = float(np.mean(np.std(_light(clip), axis=(1, 2))))
        return verdict({"contrast": contrast}, below("contrast", contrast, self.least))


def _light(clip: FaceClip) -> np.ndarray:
    """(N, 64, 64) uint8."""
    return np.stack(faces(clip, LIGHT_SIDE, evenly(len(clip.frames), LIGHT_FRAMES)))
