"""What is compared with what: every clip of every method, looked at before anything is measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dvface.errors import UserError
from dvface.evaluation.examine import Examined, examine
from dvface.evaluation.matching import Matched, matched
from dvface.evaluation.protocol import Mismatch, Pairing, judge
from dvface.evaluation.synchrony import Run
from dvface.report.progress import Progress


@dataclass(frozen=True)
class Pair:
    """A restored clip and the reference that it is compared with.

    Attributes:
        name: of the clip.
        restored: its video.
        reference: the clean video, None where there is none.
        pairing: which frames belong together.
    """

    name: str
    restored: Path
    reference: Path | None
    pairing: Pairing

    @property
    def frames(self) -> int:
        """How many frames are compared."""
        return sum(run.frames for run in self.pairing.runs)


@dataclass(frozen=True)
class Method:
    """One method's clips.

    Attributes:
        name: how tables call it.
        pairs: clips that can be measured.
        remarks: sentences on those that cannot.
    """

    name: str
    pairs: Sequence[Pair]
    remarks: Sequence[str]


def look_at_all(
    methods: Mapping[str, Path], reference: Path | None, mismatch: Mismatch, say: Callable[[str], None]
) -> list[Method]:
    """Match the clips of every method with the references, and judge whether they can be compared.

    Args:
        methods: name -> a video, a folder of frames, or a folder of either.
        reference: likewise, or None.
        mismatch: what is done with two videos that do not go together frame by frame.
        say: is told every refusal where there are several.

    Raises:
        UserError: a path is wrong, nothing matches, or, with ``mismatch=strict``, any pair is refused or any video
            cannot be read; otherwise where none is left.
    """
    found = _one_name({name: matched(path, reference) for name, path in methods.items()}, reference)
    videos = {path for each in found.values() for _, *both in each.pairs for path in both if path is not None}
    seen: dict[Path, Examined | UserError] = {}
    with Progress("look at videos", total=len(videos)) as bar:
        for path in sorted(videos):
            try:
                seen[path] = examine(path, lambda frames: None)
            except UserError as error:
                seen[path] = error
            bar.advance(note=path.name)
    judged = []
    refusals: list[str] = []
    for name, each in found.items():
        pairs, remarks = [], list(each.alone)
        for clip, restored, clean in each.pairs:
            pair = _pair(clip, restored, clean, seen, mismatch)
            if isinstance(pair, Pair):
                pairs.append(pair)
            else:
                remarks.append(pair)
                refusals.append(pair if len(methods) == 1 else f"{name}: {pair}")
        judged.append(Method(name, pairs, remarks))
    if refusals and (mismatch == "strict" or not any(method.pairs for method in judged)):
        if len(refusals) > 1:
            for refusal in refusals:
                say(refusal)
        count = sum(len(each.pairs) for each in found.values())
        more = f" (the first of {len(refusals)} of {count} pairs that cannot be compared)" if len(refusals) > 1 else ""
        raise UserError(f"{refusals[0]}{more}")
    return judged


def _one_name(found: dict[str, Matched], reference: Path | None) -> dict[str, Matched]:
    """Single videos of several methods are one clip, whatever their files are called."""
    pairs = [pair for each in found.values() for pair in each.pairs]
    if len(found) < 2 or len(pairs) != len(found) or any(len(each.pairs) != 1 for each in found.values()):
        return found
    if len({name for name, *_ in pairs}) == 1:
        return found
    name = "video" if reference is None else reference.stem
    return {
        method: Matched([(name, restored, clean) for _, restored, clean in each.pairs], each.alone)
        for method, each in found.items()
    }


def _pair(
    name: str, restored: Path, clean: Path | None, seen: Mapping[Path, Examined | UserError], mismatch: Mismatch
) -> Pair | str:
    """The pair, or why there is none."""
    ours = seen[restored]
    theirs = None if clean is None else seen[clean]
    for side in (ours, theirs):
        if isinstance(side, UserError):
            return f"{name}: {side}"
    assert isinstance(ours, Examined)
    if theirs is None:
        pairing = Pairing(runs=(Run(0, 0, ours.frames),), offset=0, remarks=(), refusal=None)
    else:
        assert isinstance(theirs, Examined)
        pairing = judge(name, ours, theirs, mismatch)
    return Pair(name, restored, clean, pairing) if pairing.refusal is None else pairing.refusal
