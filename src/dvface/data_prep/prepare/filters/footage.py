"""Filters on what the footage gave: how large the face is in it, how surely it was found, how whole the crop is."""

import numpy as np

from dvface.data_prep.prepare.face_clip import FaceClip, Verdict
from dvface.data_prep.prepare.filters.verdicts import below, verdict


class Size:
    """Refuses faces that are small in the footage: a crop cannot show what was never recorded.

    Measures ``span``: pixels of footage that the aligned square covers, median over the frames; a crop of 512 pixels
    with span 300 is enlarged 1.7 times. Footage that was enlarged before is not found by this; see `Sharpness`.

    Args:
        least: of ``span``.
    """

    def __init__(self, least: float) -> None:
        self.least = least

    def __call__(self, clip: FaceClip) -> Verdict:
        """See `Filter`."""
        span = float(np.median(clip.spans))
        return verdict({"span": span}, below("span", span, self.least))


class Detected:
    """Refuses clips whose face was often missed and its place guessed from neighbours.

    Measures ``detected``: share of frames, 0 to 1, in which the detector found the face.

    Args:
        least: of ``detected``.
    """

    def __init__(self, least: float) -> None:
        self.least = least

    def __call__(self, clip: FaceClip) -> Verdict:
        """See `Filter`."""
        share = float(np.mean(clip.scores > 0))
        return verdict({"detected": share}, below("detected", share, self.least))


class Inside:
    """Refuses crops that reach beyond the picture or into black bars.

    Measures ``inside``: share of the crop that is picture, 0 to 1, in the frame where it is lowest.

    Args:
        least: of ``inside``.
    """

    def __init__(self, least: float) -> None:
        self.least = least

    def __call__(self, clip: FaceClip) -> Verdict:
        """See `Filter`."""
        share = float(np.min(clip.inside))
        return verdict({"inside": share}, below("inside", share, self.least))
