"""Which numbers of a measure are better, and in which order measures are told."""

from typing import Literal

# First parts of measure names, in the order of the columns; the network's name may follow (`ids_dlib`).
HIGHER_IS_BETTER = ("psnr", "ssim", "ms_ssim", "ids", "clipiqa", "musiq", "maniqa", "liqe", "dover", "cnniqa")
LOWER_IS_BETTER = (
    "stlpips",
    "lpips",
    "dists",
    "niqe",
    "akd",
    "lmd",
    "fvd",
    "fid",
    "vidd",
    "ewarp",
    "tlpips",
    "tstlpips",
    "tof",
    "frame_difference",
)


def better_side(measure: str) -> Literal["higher", "lower", "neither"]:
    """Which values of ``measure`` are better; ``neither`` for one that this project does not know."""
    if measure.startswith(HIGHER_IS_BETTER):
        return "higher"
    return "lower" if measure.startswith(LOWER_IS_BETTER) else "neither"


def place(measure: str) -> tuple[int, str]:
    """What sorts measures: known ones in the order of this file, then the others by name."""
    known = (*HIGHER_IS_BETTER, *LOWER_IS_BETTER)
    places = [number for number, name in enumerate(known) if measure.startswith(name)]
    return (min(places, default=len(known)), measure)
