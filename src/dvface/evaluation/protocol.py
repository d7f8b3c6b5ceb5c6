"""Whether two videos may be compared, which of their frames, and what to tell the user about them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from dvface.evaluation.examine import Bars, Examined
from dvface.evaluation.levels import range_mistake
from dvface.evaluation.synchrony import BAND, Run, Synchrony, find_runs

Mismatch = Literal["strict", "truncate", "align"]

SAME_RATE = 5e-4  # of the rate: containers round times; 23.976 and 24 differ by twice that
SAME_BAR = 2  # pixels: compression blurs a bar's edge
SAME_PICTURE = 0.25  # levels of a cell's mean: rounding between RGB and YUV stays below
SAMPLES = 1000  # frames, evenly spaced, whose levels are compared
LEAST_RESEMBLANCE = 0.5  # correlation of the pictures' means over time; real pairs have above 0.9


@dataclass(frozen=True)
class Pairing:
    """How two videos are to be compared.

    Attributes:
        runs: the frames to compare, in order; none where refused.
        offset: the reference frame that restored frame 0 shows (0: in step); of the longest run where it changes.
        remarks: sentences for the user.
        refusal: a sentence on why these two may not be compared, with the remedy; None where they may.
    """

    runs: tuple[Run, ...]
    offset: int
    remarks: tuple[str, ...]
    refusal: str | None


def judge(name: str, restored: Examined, reference: Examined, mismatch: Mismatch) -> Pairing:
    """Whether and how to compare a pair.

    Args:
        name: of the pair, for the sentences.
        restored: one side.
        reference: the other.
        mismatch: what to do where the two are not frame by frame the same moments: ``strict`` refuses; ``truncate``
            compares the frames as they lie, as many as the shorter has; ``align`` compares the frames that belong
            together.
    """
    if (restored.width, restored.height) != (reference.width, reference.height):
        refusal = (
            f"{name}: restored is {restored.width}×{restored.height}, reference {reference.width}×{reference.height}; "
            "resize one side to the other"
        )
        return Pairing((), 0, (), refusal)
    synchrony = find_runs(restored.signatures, reference.signatures)
    found = _findings(synchrony, restored.frames, reference.frames)
    shortest = min(restored.frames, reference.frames)
    as_they_lie = (Run(0, 0, shortest),)
    in_step = all(run.offset == 0 for run in synchrony.runs)
    pairing = Pairing(as_they_lie, synchrony.offset, (), None)
    remedy = f"mismatch=truncate compares the first {shortest} frames as they lie"
    if found and mismatch == "strict":
        if not in_step:
            remedy = "mismatch=align compares the frames that belong together"
        return replace(pairing, runs=(), refusal=f"{name}: {_listed(found)}; {remedy}")
    remarks: list[str] = []
    if found and mismatch == "truncate":
        remarks.append(_as_they_lie(found, in_step, shortest, restored.frames, reference.frames))
    if found and mismatch == "align":
        if synchrony.known:
            pairing = replace(pairing, runs=synchrony.runs if not in_step else as_they_lie)
        remarks.append(_aligned(found, pairing.runs, restored.frames, reference.frames))
    if not synchrony.known:
        remarks.append(
            "whether the two are in step cannot be told: too little moves, or they move too differently at all offsets "
            f"up to {BAND} frames; frame i is compared with frame i"
        )
    remarks += [*_footage(restored, reference), *_levels(restored, reference, pairing.runs)]
    return replace(pairing, remarks=tuple(remarks))


def _findings(synchrony: Synchrony, restored: int, reference: int) -> list[str]:
    """What is wrong with the frames of two videos of these lengths, a clause each."""
    if not synchrony.known:
        if restored == reference:
            return []
        return [f"restored has {_frames(restored)}, reference {reference}, and which lack cannot be told"]
    first, last = synchrony.runs[0], synchrony.runs[-1]
    found: list[str] = []
    if first.offset > 0:
        found.append(f"restored frame 0 shows reference frame {first.offset}")
    if first.offset < 0:
        found.append(f"restored frame {-first.offset} shows reference frame 0")
    for before, after in pairwise(synchrony.runs):
        change, end = after.offset - before.offset, before.restored + before.frames - 1
        if change > 0:
            found.append(f"{_frames(change)} {_are(change)} missing after restored frame {end}")
        if change < 0:
            found.append(f"{_frames(-change)} {_are(-change)} repeated or added after restored frame {end}")
    if restored == reference and not found:
        return []
    lacking = reference - (restored + last.offset)
    if lacking:
        before_that = "" if found else ", in step before"
        if lacking > 0:
            found.append(f"restored lacks {_frames(lacking)} at the end{before_that}")
        else:
            found.append(f"restored goes on for {_frames(-lacking)} behind reference's end{before_that}")
    return found


def _as_they_lie(found: list[str], in_step: bool, shortest: int, restored: int, reference: int) -> str:
    left_out = f"{_frames(max(restored, reference) - shortest)} of the longer side left out"
    if in_step:
        return f"{_listed(found)}; the first {shortest} are compared, {left_out}"
    return (
        f"OUT OF STEP: {_listed(found)}; the first {shortest} frames are compared as they lie all the same, so the "
        f"numbers compare different moments ({left_out}); mismatch=align compares the frames that belong together"
    )


def _aligned(found: list[str], runs: tuple[Run, ...], restored: int, reference: int) -> str:
    compared = sum(run.frames for run in runs)
    return (
        f"{_listed(found)}; {_frames(compared)} compared in {len(runs)} {'run' if len(runs) == 1 else 'runs'}, left "
        f"out: {restored - compared} of restored, {reference - compared} of reference"
    )


def _footage(restored: Examined, reference: Examined) -> Iterable[str]:
    """Remarks on what the two files are."""
    ours, theirs = restored.rate, reference.rate
    if ours and theirs and abs(ours / theirs - 1) > SAME_RATE:
        yield (
            f"restored has {float(ours):.6g} frames a second, reference {float(theirs):.6g}; frames are compared by "
            "number, not by time"
        )
    if restored.colour_range and reference.colour_range and restored.colour_range != reference.colour_range:
        yield (
            f"restored says {restored.colour_range} colour range, reference {reference.colour_range}; each is decoded "
            "by what it says"
        )
    for side, bars in (("restored", restored.bars), ("reference", reference.bars)):
        if bars:
            yield f"{side} has black bars ({_sides(bars)}), which count like picture"
    if _differ(restored.bars, reference.bars):
        yield "restored and reference have different black bars; the difference counts as error"


def _levels(restored: Examined, reference: Examined, runs: tuple[Run, ...]) -> Iterable[str]:
    """Remarks on what the pictures that are compared show."""
    compared = sum(run.frames for run in runs)
    if compared == restored.frames == reference.frames and all(map(_same, restored.signatures, reference.signatures)):
        yield "restored shows the same pictures as reference in all frames; check that it is not a copy of it"
        return
    places = [(run.restored + i, run.reference + i) for run in runs for i in range(run.frames)]
    shown = np.array(places[:: max(1, compared // SAMPLES)]).T
    ours, theirs = restored.signatures[shown[0]], reference.signatures[shown[1]]
    mistake = range_mistake(ours, theirs)
    if mistake is not None:
        how = "squeezed into limited range" if mistake == "squeezed" else "stretched from limited to full range"
        yield (
            f"restored's levels are reference's {how} (219/255), as a mistaken colour range does it; convert one "
            "side, or its error counts against the restoration"
        )
    if _resemblance(ours.mean(axis=0), theirs.mean(axis=0)) < LEAST_RESEMBLANCE:
        yield "restored and reference do not look like the same footage; check that they belong together"


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return float(np.abs(one - other).max()) <= SAME_PICTURE


def _resemblance(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two pictures; 1 where one has no contrast, which says nothing."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1]) if one.std() and other.std() else 1.0


def _differ(one: Bars, other: Bars) -> bool:
    sides = ((one.top, other.top), (one.bottom, other.bottom), (one.left, other.left), (one.right, other.right))
    return any(abs(ours - theirs) > SAME_BAR for ours, theirs in sides)


def _sides(bars: Bars) -> str:
    sizes = {"top": bars.top, "bottom": bars.bottom, "left": bars.left, "right": bars.right}
    return ", ".join(f"{side} {size}" for side, size in sizes.items() if size)


def _listed(clauses: list[str], most: int = 4) -> str:
    """The clauses in a row; of many the first few."""
    more = [f"{len(clauses) - most} more such places"] if len(clauses) > most else []
    return ", ".join([*clauses[:most], *more])


def _frames(count: int) -> str:
    return f"{count} frame" if count == 1 else f"{count} frames"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
