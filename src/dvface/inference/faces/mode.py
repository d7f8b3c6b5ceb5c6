"""Which way a video is restored, judged by its faces."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dvface.inference.faces.found import Faces
from dvface.perception.alignment import Matrix, inverse, span, to_template

FacesMode = Literal["aligned", "faces", "none"]

LONGEST = 1.1  # ratio of the sides of a picture that is nearly square
LEAST_SIDE, MOST_SIDE = 192, 768  # pixels: models are trained on crops of about 512
SPANS = (0.68, 1.3)  # of the picture's side; an FFHQ crop has 1, VFHQ's test clip 0.74 to 0.89, half a body 0.3 to 0.6
MOST_OFFSET = 0.2  # of the picture's side, from its middle to the aligned square's; VFHQ's test clip has up to 0.18
MOST_ROLL = 20.0  # degrees
DOMINANT = 2.0  # times as large as any other face in the frame
LEAST_SHARE = 0.95  # of the frames that are so


def choose_mode(faces: Faces, width: int, height: int) -> tuple[FacesMode, str]:
    """``aligned`` where the video is the crop of one face, ``faces`` where it shows faces otherwise, else ``none``.

    A crop is a nearly square picture of 192 to 768 pixels in which, in practically every frame, one face lies about
    where FFHQ's template puts it. The thresholds lie between what crops of public test sets and what talking heads
    in whole pictures have.

    Args:
        faces: of the whole video.
        width: of its pictures.
        height: of its pictures.

    Returns:
        The mode, and a sentence on why.
    """
    if not faces.tracks:
        return "none", f"No face was found in {_counted(faces.frames, 'frame')}: the video is passed through."
    number = _counted(len(faces.tracks), "face track")
    if max(width, height) > LONGEST * min(width, height):
        return "faces", f"{number} in a picture of {width}×{height}, which is no square crop of one face."
    if not LEAST_SIDE <= min(width, height) <= max(width, height) <= MOST_SIDE:
        return "faces", (
            f"{number} in a picture of {width}×{height}; "
            f"only pictures of {LEAST_SIDE} to {MOST_SIDE} pixels are taken for the crop of one face."
        )
    share = float(_fits(faces, width, height).mean())
    if share >= LEAST_SHARE:
        return "aligned", f"One face fills the square picture in {share:.0%} of the frames: it is an aligned crop."
    return "faces", f"{number}; one face fills the square picture in only {share:.0%} of the frames."


def _fits(faces: Faces, width: int, height: int) -> NDArray[np.bool_]:
    """(frames,): whether one face is dominant and lies in the picture as in an aligned crop."""
    largest, second = np.zeros(faces.frames), np.zeros(faces.frames)
    placed = np.zeros(faces.frames, bool)
    for track in faces.tracks:
        matrices = to_template(track.landmarks)
        spans = span(track.landmarks)
        here = slice(track.first, track.stop)
        leads = spans > largest[here]
        second[here] = np.maximum(second[here], np.where(leads, largest[here], spans))
        placed[here] = np.where(leads, _placed(matrices, spans, width, height), placed[here])
        largest[here] = np.maximum(largest[here], spans)
    return placed & (largest >= DOMINANT * second)


def _placed(matrices: Matrix, spans: Matrix, width: int, height: int) -> NDArray[np.bool_]:
    """(T,): whether the aligned squares about fill the picture."""
    relative = spans / min(width, height)
    middles = inverse(matrices) @ np.array([0.5, 0.5, 1.0])
    # the first pixel's centre is at 0, so the picture's middle is half a pixel before half its size
    offsets = np.abs(middles - (np.array([width, height]) - 1) / 2).max(axis=-1) / min(width, height)
    roll = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    fills = (relative >= SPANS[0]) & (relative <= SPANS[1])
    return np.asarray(fills & (offsets <= MOST_OFFSET) & (np.abs(roll) <= MOST_ROLL))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
