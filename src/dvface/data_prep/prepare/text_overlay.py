"""The filter on subtitles, captions and station logos."""

import cv2
import numpy as np

from dvface.data_prep.prepare.face_clip import FaceClip, Verdict
from dvface.data_prep.prepare.filters.face_region import evenly
from dvface.data_prep.prepare.filters.verdicts import above, verdict
from dvface.perception.alignment import inverse, similarity

SIDE = 384  # pixels of the crop that is looked at
FRAMES = 3
STROKE = 11  # pixels; wider things are no strokes of letters
CONTRAST = 45  # levels of 255 by which a stroke leaves its surroundings
GAP = 15  # pixels between the letters of a line
HEIGHTS = (7, 56)  # pixels, of a line
ASPECT = 2.5  # a line is so many times longer than high
STROKES = 0.8  # per height, along a line; less are edges and hair
FILLED = 0.3  # share of a line's box that is stroke or gap between letters
PLAY = 5  # pixels by which a line may wander between frames


class TextOverlay:
    """Refuses clips over which text lies.

    Measures ``text``: share of the crop, 0 to 1, under lines of text that stand still in the footage, in three frames.

    A heuristic, no reader: a line is a long box, densely filled with thin strokes that are much brighter or darker than
    what is around them, in the same place of the footage in all three frames, and neither an eye nor a mouth. Of 25
    real clips of 512 pixels on which a line of Latin letters was drawn near the lower edge, ``most=0.005`` refused 84
    to 88 % with white, rimmed letters 14 pixels high and 88 to 96 % from 20 pixels on; without a rim 64 % and 84 to
    88 %. Of 122 real training clips without text it refused 2. Writing in the room counts too. Logos without letters,
    vertical and single letters are not found.

    Args:
        most: of ``text``.
    """

    def __init__(self, most: float) -> None:
        self.most = most

    def __call__(self, clip: FaceClip) -> Verdict:
        """See `Filter`."""
        indexes = evenly(len(clip.frames), FRAMES)
        middle = indexes[len(indexes) // 2]
        # from the middle frame's crop to the footage, and from there to each crop
        to_footage = _square(similarity(clip.landmarks[middle], clip.detected[middle]))
        scale = SIDE / clip.frames.shape[1]
        common = np.full((SIDE, SIDE), 255, np.uint8)
        for index in indexes:
            to_crop = _square(similarity(clip.detected[index], clip.landmarks[index]))
            way = (to_crop @ to_footage)[:2]
            way[:, 2] *= scale
            lines = cv2.dilate(_lines(clip.frames[index], clip.landmarks[index]), np.ones((PLAY, PLAY), np.uint8))
            still = cv2.warpAffine(lines, inverse(way), (SIDE, SIDE), flags=cv2.INTER_NEAREST)
            common = np.minimum(common, still.astype(np.uint8))
        text = float(np.mean(common > 0))
        return verdict({"text": text}, above("text", text, self.most))


def _square(matrix: np.ndarray) -> np.ndarray:
    """(3, 3) of (2, 3)."""
    return np.vstack([matrix, (0, 0, 1)])


def _lines(frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) uint8: 255 within boxes of what looks like lines of text."""
    left_eye, right_eye, _, *corners = landmarks * (SIDE / frame.shape[0])
    features = np.stack([left_eye, right_eye, np.mean(corners, axis=0)])
    apart = np.linalg.norm(right_eye - left_eye)
    how = cv2.INTER_AREA if frame.shape[0] > SIDE else cv2.INTER_LINEAR
    grey = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=how)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (STROKE, STROKE))
    found = np.zeros_like(grey)
    for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):  # bright letters, dark letters
        strokes = (cv2.morphologyEx(grey, kind, kernel) > CONTRAST).astype(np.uint8)
        joined = cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, np.ones((3, GAP), np.uint8))
        _, _, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=4)
        for left, top, width, height, area in boxes[1:]:
            inner = strokes[top : top + height, left : left + width]
            starts = np.diff(inner, axis=1, prepend=0) == 1
            dense = starts.sum(axis=1).mean() >= STROKES * width / height
            shaped = HEIGHTS[0] <= height <= HEIGHTS[1] and width >= ASPECT * height
            # lashes and teeth are strokes too
            beside = np.abs(features - (left + width / 2, top + height / 2)) > (width / 2, height)
            feature = width <= apart and not beside.any(axis=1).all()
            if shaped and dense and not feature and area >= FILLED * width * height:
                found[top : top + height, left : left + width] = 255
    return found
