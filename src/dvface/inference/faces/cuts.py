"""Where one scene ends and another begins, by numbers that a single pass over the frames leaves."""

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 32  # pixels of a thumbnail: movement within a scene hardly changes it
LEAST = 12.0  # grey levels; eight real clips have 2 from frame to frame (median), 99 of 100 below 15; their joins 36
RATIO = 2.5  # how many times as much as its neighbours a cut differs; a fast camera makes all neighbours differ
NEIGHBOURS = 6  # frames on either side
RANK = 2  # of the neighbours, from the largest: one more cut near by hides none, repeated frames make none
RETURN = 0.5  # a frame this much nearer to the one before the jump than the jump is long: a flash, no new scene


class Changes:
    """How much each frame differs from the one before and from the one before that.

    A thumbnail's own mean is taken out, channel by channel: flickering light and fades change nothing.

    Attributes:
        one: mean absolute difference, in levels of 0 to 255, of each frame to the one before; 0 for the first.
        two: the same to the one before that; 0 for the first two.
    """

    def __init__(self) -> None:
        self.one: list[float] = []
        self.two: list[float] = []
        self._last: deque[NDArray[np.float32]] = deque(maxlen=2)

    def add(self, frame: NDArray[np.uint8]) -> float:
        """Look at the next frame, (H, W, 3) uint8; its difference to the one before."""
        small = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        small -= small.mean(axis=(0, 1))
        one, two = ([*(float(np.abs(small - other).mean()) for other in reversed(self._last)), 0.0, 0.0])[:2]
        self._last.append(small)
        self.one.append(one)
        self.two.append(two)
        return one


def find_cuts(changes: Changes) -> list[int]:
    """First frames of all scenes but the first, hard cuts only.

    A cut differs much from the frame before, much more than the second of its neighbours does (as in PySceneDetect's
    adaptive detector, whose mean two cuts close to each other would raise), and the next frame does not go back to
    what was before (a photographer's flash).
    """
    one, two = np.array(changes.one), np.array(changes.two)
    found = []
    for place in np.flatnonzero(one >= LEAST):
        around = np.concatenate((one[max(1, place - NEIGHBOURS) : place], one[place + 1 : place + 1 + NEIGHBOURS]))
        usual = float(np.sort(around)[-RANK]) if len(around) >= RANK else 0.0
        leaves = place < 2 or two[place] > RETURN * one[place]
        stays = place + 1 >= len(one) or two[place + 1] > RETURN * one[place]
        if one[place] > RATIO * usual and leaves and stays:
            found.append(int(place))
    return found
