"""The part of a clip that shows the face, in grey and at a fixed size: what filters look at."""

import cv2
import numpy as np

from dvface.data_prep.prepare.face_clip import FaceClip

FACE_PER_LANDMARKS = 2.2  # eyes or eyes to mouth, whichever is longer: from the brows to the chin


def evenly(count: int, most: int) -> list[int]:
    """At most ``most`` of the numbers 0 … ``count`` - 1, evenly spread, first and last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})


def face_square(clip: FaceClip) -> tuple[int, int, int]:
    """Left, top and side in pixels of the square around the face: one for all frames, within them."""
    points = np.median(clip.landmarks, axis=0)
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    length = max(np.linalg.norm(points[1] - points[0]), np.linalg.norm(mouth - eyes))
    room = min(clip.frames.shape[1:3])
    side = int(np.clip(round(float(FACE_PER_LANDMARKS * length)), 1, room))
    left, top = np.clip(np.rint(points.mean(axis=0) - side / 2), 0, room - side).astype(int)
    return int(left), int(top), side


def faces(clip: FaceClip, side: int, indexes: list[int]) -> list[np.ndarray]:
    """(side, side) uint8 BT.601 luma of the face in the frames ``indexes``."""
    left, top, length = face_square(clip)
    how = cv2.INTER_AREA if length > side else cv2.INTER_LINEAR
    return [
        cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (side, side), interpolation=how)
        for frame in clip.frames[indexes, top : top + length, left : left + length]
    ]
