import time
from dataclasses import replace

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dvface.data_prep.prepare.duplicates import duplicates, prints
from dvface.data_prep.prepare.record import ClipRecord


def record(source: str, number: int, *codes: int) -> ClipRecord:
    texts = tuple(f"{code:016x}" for code in codes)
    return ClipRecord(f"{source}-{number:06d}", source, 0, number, 0.0, 9, {}, {}, prints=texts)


def distance(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    return max((int(a, 16) ^ int(b, 16)).bit_count() for a, b in zip(one, other, strict=True))


def test_prints_are_three_times_64_bits_of_first_middle_and_last_frame(carphone):
    face = carphone[:9, 20:116, 40:136]
    changed = face.copy()
    changed[[1, 2, 3, 5, 6, 7]] = 0
    assert prints(changed) == prints(face)
    assert [len(text) for text in prints(face)] == [16, 16, 16]
    for place, at in enumerate((0, 4, 8)):
        other = face.copy()
        other[at] = carphone[100, 20:116, 40:136]
        assert [a != b for a, b in zip(prints(other), prints(face), strict=True)] == [at == n for n in (0, 4, 8)], place


def test_print_of_one_wave_is_known_by_hand():
    """A cosine with three half periods across and two down has one coefficient, the second of the first row kept."""
    # 448 pixels are left of 640: seven to each of the 64
    places = (np.arange(640) - 96 + 0.5) / 448 * np.pi
    wave = 90 * np.cos(2 * places)[:, None] * np.cos(3 * places)
    light, dark = (np.repeat(np.uint8(np.rint(128 + sign * wave))[None, ..., None], 3, axis=-1) for sign in (1, -1))
    second = 0x4000000000000000
    assert int(prints(light)[0], 16) & second
    assert not int(prints(dark)[0], 16) & second


def test_copies_are_near_and_other_moments_are_not(carphone):
    face = carphone[:9, 20:116, 40:136]
    brighter = np.clip(face * 1.15 + 12, 0, 255).astype(np.uint8)
    small = np.stack([cv2.resize(frame, (48, 48), interpolation=cv2.INTER_AREA) for frame in face])
    large = np.stack([cv2.resize(frame, (256, 256), interpolation=cv2.INTER_CUBIC) for frame in face])
    poor = np.stack(
        [
            cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR)
            for frame in face
        ]
    )
    for copy in (brighter, small, large, poor):
        assert distance(prints(copy), prints(face)) <= 5
    assert distance(prints(carphone[60:69, 20:116, 40:136]), prints(face)) > 10


def test_the_first_stays_and_chains_end_there():
    records = [record("c", 0, 0b111), record("b", 0, 0b1), record("a", 0, 0), record("d", 0, (1 << 20) - 1)]
    # c is 3 bits from a and 2 from b, which repeats a
    assert duplicates(records, 2) == {"b-000000": "a-000000", "c-000000": "a-000000"}


def test_every_print_must_be_near():
    records = [
        record("a", 0, 0, 0, 0),
        record("b", 0, 0, 0, 0b111),
        record("c", 0, 0, 0b111, 0),
        record("d", 0, 1, 1, 1),
    ]
    assert duplicates(records, 2) == {"d-000000": "a-000000"}


def test_clips_of_one_source_never_count_against_each_other():
    still = [record("a", number, 0) for number in range(4)]
    assert duplicates(still, 5) == {}
    copy = [record("b", number, 1) for number in range(2)]
    assert duplicates(copy + still, 5) == {"b-000000": "a-000000", "b-000001": "a-000000"}


def test_clips_without_prints_repeat_nothing():
    bare = replace(record("a", 0, 0), prints=())
    assert duplicates([bare, replace(bare, key="b", source="b"), record("c", 0, 0)], 64) == {}
    assert duplicates([], 5) == {}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 255), st.integers(0, 63)), max_size=90),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_agrees_with_trying_all_pairs(drawn, most, shuffler):
    records = [record(source, number, *codes) for number, (source, *codes) in enumerate(drawn)]
    ordered = sorted(records, key=lambda one: (one.source, one.key))
    expected: dict[str, str] = {}
    for at, one in enumerate(ordered):
        for other in ordered[:at]:
            if other.source != one.source and distance(one.prints, other.prints) <= most:
                expected[one.key] = expected.get(other.key, other.key)
                break
    shuffler.shuffle(records)
    assert duplicates(records, most) == expected


def test_twenty_thousand_clips_take_seconds():
    codes = np.random.default_rng(0).integers(0, 1 << 63, (20_000, 3))
    records = [record(f"s{number:05d}", 0, *map(int, row)) for number, row in enumerate(codes)]
    records.append(record("z", 0, *(int(code) ^ 3 for code in codes[1234])))
    start = time.process_time()
    assert duplicates(records, 5) == {"z-000000": "s01234-000000"}
    assert time.process_time() - start < 10
