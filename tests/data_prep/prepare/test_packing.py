import numpy as np

from dvface.data_prep.prepare.packing import collect
from dvface.data_prep.prepare.record import ClipRecord, SourceRecord
from dvface.data_prep.prepare.source import Origin, Source
from dvface.data_prep.prepare.work import Part

SHARES = {"by": "identity", "validation": 0.3, "test": 0.3, "most_distance": 0.4}


def person(number: int) -> tuple[float, ...]:
    """Embeddings of different people lie 1.4 apart."""
    return tuple(np.eye(128)[number].tolist())


def source(name: str) -> Source:
    return Source(name, f"{name}.mp4", __file__, None, Origin(name), 1)  # type: ignore[arg-type]


def clip(name: str, number: int, who: int, track: int = 0, prints: str | None = None) -> ClipRecord:
    marks = prints or f"{derived(name, number):016x}"
    return ClipRecord(f"{name}-{number}", name, track, number, 0.0, 17, {}, {}, person(who), (marks,) * 3)


def derived(name: str, number: int) -> int:
    return int.from_bytes(np.random.default_rng([*name.encode(), number]).bytes(8), "little")


def part(name: str, clips: list[ClipRecord]) -> Part:
    return Part(SourceRecord(name, f"{name}.mp4"), clips, [{"key": one.key} for one in clips])


def gathered(parts: list[Part], seed: int = 0, by: str = "identity"):
    sources = [source(one.source.key) for one in parts]
    return collect(parts, sources, 5, seed, {**SHARES, "by": by})


def test_a_track_in_which_the_person_changes_joins_both_people() -> None:
    # A cut that was missed: the filters refused the clip with the cut, and the two halves are on one track.
    swap = part("swap", [clip("swap", number, who=0 if number < 3 else 1) for number in range(6)])
    others = [part(name, [clip(name, 0, who)]) for name, who in (("one", 0), ("two", 1), ("three", 2), ("four", 3))]
    found = gathered([swap, *others])
    groups = {name: found.assignments[name].group for name in ("swap", "one", "two", "three", "four")}
    assert groups["swap"] == groups["one"] == groups["two"]
    assert len(set(groups.values())) == 3


def test_a_copy_of_which_one_clip_is_kept_goes_where_its_original_goes() -> None:
    original = part("a", [clip("a", number, who=0) for number in range(6)])
    twins = [clip("b", number, 0, prints=original.clips[number].prints[0]) for number in range(5)]
    copy = part("b", [*twins, clip("b", 5, who=0)])
    others = [part(name, [clip(name, number, who) for number in range(6)]) for name, who in (("c", 1), ("d", 2))]
    for seed in range(12):
        found = gathered([original, copy, *others], seed, by="source")
        assert len([one for one in found.kept if one.source == "b"]) == 1
        assert found.assignments["a"] == found.assignments["b"]
