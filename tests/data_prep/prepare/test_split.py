from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvface.data_prep.prepare.split import Item, split

TENTHS = {"validation": 0.1, "test": 0.1}


def item(name: str, clips: int = 1, person: str | None = None, prescribed: str | None = None, at: float | None = None):
    faces = () if at is None else ([at, *[0.0] * 127],)
    return Item(name, name.split("+")[0], person, prescribed, clips, faces)


def clips_of(items, chosen) -> Counter:
    counted: Counter = Counter()
    for one in items:
        counted[chosen[one.source].split] += one.clips
    return counted


def test_shares_are_met_by_clips():
    items = [item(f"v{number:03d}", clips=3) for number in range(100)]
    assert clips_of(items, split(items, TENTHS, 0, "source")) == {"train": 240, "validation": 30, "test": 30}


def test_shares_that_floats_cannot_hold_are_met():
    items = [item(f"v{number}") for number in range(10)]
    counted = clips_of(items, split(items, {"validation": 0.3, "test": 0.3}, 0, "source"))
    assert counted == {"train": 4, "validation": 3, "test": 3}


def test_recording_and_person_stay_together_under_the_first_name():
    items = [item("r+1"), item("r+2", person="p"), item("q", person="p"), item("x"), item("y")]
    chosen = split(items, TENTHS, 0, "source")
    assert [chosen[name].group for name in ("r+1", "r+2", "q", "x", "y")] == ["q", "q", "q", "x", "y"]


def test_near_embeddings_join_in_chains_only_by_identity():
    items = [item("a", at=0.0), item("b", at=0.35), item("c", at=0.7), item("d", at=1.2), item("e")]
    chosen = split(items, TENTHS, 0, "identity", most_distance=0.4)
    assert [chosen[name].group for name in "abcde"] == ["a", "a", "a", "d", "e"]
    assert [split(items, TENTHS, 0, "source")[name].group for name in "abcde"] == list("abcde")
    strict = split(items, TENTHS, 0, "identity", most_distance=0.3)
    assert [strict[name].group for name in "abcde"] == list("abcde")


def test_one_of_many_faces_is_enough():
    several = Item("a", "a", None, None, 1, ([5.0] + [0.0] * 127, [0.0] * 128))
    assert split([several, item("b", at=0.1), item("c", at=9.0)], TENTHS, 0, "identity")["b"].group == "a"


@pytest.mark.parametrize("count", [3, 4, 9])
def test_every_share_gets_a_group_from_three_on(count):
    items = [item(f"v{number}", clips=50) for number in range(count)]
    assert set(clips_of(items, split(items, {"validation": 0.01, "test": 0.01}, 7, "source"))) == {
        "train",
        "validation",
        "test",
    }


def test_two_groups_that_do_not_fit_are_trained_on():
    items = [item("a", clips=50), item("b", clips=50)]
    assert clips_of(items, split(items, TENTHS, 0, "source")) == {"train": 100}


def test_no_share_takes_nothing():
    items = [item(f"v{number}") for number in range(9)]
    assert clips_of(items, split(items, {"validation": 0, "test": 0}, 0, "source")) == {"train": 9}


def test_too_large_groups_are_passed_over():
    items = [item("large", clips=900), *(item(f"v{number}") for number in range(100))]
    for seed in range(20):
        chosen = split(items, {"validation": 0.02, "test": 0.03}, seed, "source")
        assert chosen["large"].split == "train"
        assert clips_of(items, chosen) == {"train": 950, "validation": 20, "test": 30}


def test_the_smallest_is_taken_where_none_fits():
    items = [item("a", clips=30), item("b", clips=20), item("c", clips=10)]
    chosen = split(items, {"validation": 0.01, "test": 0.01}, 0, "source")
    assert {name: one.split for name, one in chosen.items()} == {"a": "train", "b": "validation", "c": "test"}


def test_sources_without_clips_fill_no_share():
    items = [*(item(f"empty{number}", clips=0) for number in range(5)), item("a"), item("b"), item("c")]
    assert clips_of(items, split(items, TENTHS, 3, "source")) == {"train": 1, "validation": 1, "test": 1}


def test_prescription_holds_for_the_group_and_counts():
    items = [item("a", clips=20, prescribed="test", person="p"), item("b", clips=5, person="p")]
    items += [item(f"v{number:02d}") for number in range(75)]
    chosen = split(items, {"validation": 0.1, "test": 0.1}, 0, "source")
    assert chosen["b"].split == "test"
    assert chosen["b"].remark is None
    # 25 of 100 clips are for test already
    assert clips_of(items, chosen) == {"train": 65, "validation": 10, "test": 25}


def test_contradicting_prescriptions_are_told():
    items = [item("r+1", prescribed="train"), item("r+2", prescribed="test"), item("s+1", prescribed="validation")]
    items += [item("s+2", prescribed="train"), item("t")]
    chosen = split(items, TENTHS, 0, "source")
    assert (chosen["r+1"].split, chosen["s+2"].split) == ("test", "validation")
    assert chosen["r+1"].remark == "prescribed for test and train; the whole group r+1 goes to test"
    assert chosen["t"].remark is None


def test_training_keeps_the_last_free_group():
    items = [item("a", prescribed="test"), item("b", prescribed="test"), item("c", clips=10)]
    assert split(items, TENTHS, 0, "source")["c"].split == "train"


def test_the_seed_decides():
    items = [item(f"v{number}") for number in range(30)]
    held = {
        tuple(sorted(k for k, one in split(items, TENTHS, seed, "source").items() if one.split == "test"))
        for seed in range(5)
    }
    assert len(held) == 5


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.builds(
            lambda recording, person, prescribed, clips, places: (recording, person, prescribed, clips, places),
            st.integers(0, 12),
            st.none() | st.integers(0, 12),
            st.sampled_from([None, None, None, None, "train", "validation", "test"]),
            st.integers(0, 9),
            st.lists(st.integers(0, 40), max_size=2),
        ),
        min_size=1,
        max_size=30,
    ),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_nobody_is_in_two_splits(drawn, seed, shuffler):
    items = [
        Item(
            f"s{number:02d}",
            f"r{recording}",
            person and f"p{person}",
            prescribed,
            clips,
            [[place, 0.5] for place in places],
        )
        for number, (recording, person, prescribed, clips, places) in enumerate(drawn)
    ]
    shares = {"validation": 0.2, "test": 0.3}
    chosen = split(items, shares, seed, "identity", most_distance=1.5)
    assert set(chosen) == {one.source for one in items}
    for quality in ("recording", "person"):
        seen = defaultdict(set)
        for one in items:
            if getattr(one, quality) is not None:
                seen[getattr(one, quality)].add(chosen[one.source].group)
        assert all(len(groups) == 1 for groups in seen.values())
    for one in items:
        for other in items:
            if any(abs(a[0] - b[0]) < 1.5 for a in one.embeddings for b in other.embeddings):
                assert chosen[one.source].group == chosen[other.source].group
    splits = defaultdict(set)
    for one in chosen.values():
        splits[one.group].add(one.split)
    assert all(len(held) == 1 for held in splits.values())
    free = Counter()
    for one in items:
        if not any(other.prescribed for other in items if chosen[other.source].group == chosen[one.source].group):
            free[chosen[one.source].split] += one.clips
    total = sum(one.clips for one in items)
    groups = Counter()
    for one in items:
        groups[chosen[one.source].group] += one.clips
    for name, share in (("test", shares["test"]), ("validation", shares["validation"])):
        alone = sum(1 for group, held in splits.items() if held == {name} and groups[group]) == 1
        assert free[name] <= share * total + 1e-9 or alone
    shuffler.shuffle(items)
    assert split(items, shares, seed, "identity", most_distance=1.5) == chosen


def test_a_person_of_a_thousand_tracks_is_one_group():
    rng = np.random.default_rng(0)
    people = rng.normal(size=(3, 128))
    people /= np.linalg.norm(people, axis=1, keepdims=True)
    faces = people[np.arange(1500) % 3] + rng.normal(size=(1500, 128)) * 0.01
    items = [
        Item(f"v{number:04d}", f"v{number:04d}", None, None, 1, [face.tolist()]) for number, face in enumerate(faces)
    ]
    chosen = split(items, TENTHS, 0, "identity")
    assert [chosen[one.source].group for one in items] == [f"v{number % 3:04d}" for number in range(1500)]


def test_sources_of_the_same_footage_stay_together():
    copy = Item("copy", "copy", None, None, 1, (), ["v3"])
    items = [*(item(f"v{number}", clips=5) for number in range(6)), copy]
    chosen = split(items, {"validation": 0.2, "test": 0.2}, 0, "source")
    assert chosen["copy"] == chosen["v3"]
    assert chosen["copy"].group == "copy"
