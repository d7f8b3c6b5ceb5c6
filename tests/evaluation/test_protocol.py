import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.test_synchrony import changed_looks, moving_texture

from dvface.evaluation.examine import Bars, Examined, examine
from dvface.evaluation.protocol import judge
from dvface.evaluation.synchrony import Run
from dvface.video.write import write_video


def side(signatures: np.ndarray) -> Examined:
    return Examined(
        Path("x.mp4"),
        len(signatures),
        512,
        512,
        Fraction(24),
        "limited",
        Bars(0, 0, 0, 0),
        signatures.astype(np.float32),
    )


CLEAN = moving_texture(120, 7)
NOISY = CLEAN + np.random.default_rng(0).normal(scale=2, size=CLEAN.shape)
REFERENCE, RESTORED = side(CLEAN), side(NOISY)


def test_a_pair_in_step_has_nothing_to_say() -> None:
    pairing = judge("a", RESTORED, REFERENCE, "strict")
    assert pairing.runs == (Run(0, 0, 120),)
    assert (pairing.offset, pairing.remarks, pairing.refusal) == (0, (), None)


@pytest.mark.parametrize("mismatch", ["strict", "truncate", "align"])
def test_sizes_that_differ_are_always_refused(mismatch: str) -> None:
    pairing = judge("a", replace(RESTORED, width=256), REFERENCE, mismatch)  # type: ignore[arg-type]
    assert pairing.refusal == "a: restored is 256×512, reference 512×512; resize one side to the other"
    assert pairing.runs == ()


def test_missing_frames_at_the_end_are_refused_and_may_be_left_out() -> None:
    short = side(NOISY[:117])
    assert judge("a", short, REFERENCE, "strict").refusal == (
        "a: restored lacks 3 frames at the end, in step before; mismatch=truncate compares the first 117 frames as "
        "they lie"
    )
    for mismatch in ("truncate", "align"):
        pairing = judge("a", short, REFERENCE, mismatch)  # type: ignore[arg-type]
        assert pairing.runs == (Run(0, 0, 117),)
        assert pairing.refusal is None
        assert len(pairing.remarks) == 1
        assert "lacks 3 frames at the end" in pairing.remarks[0]


def test_an_offset_is_refused_named_and_aligned() -> None:
    late = side(NOISY[4:])
    strict = judge("a", late, REFERENCE, "strict")
    assert strict.refusal is not None
    assert "restored frame 0 shows reference frame 4" in strict.refusal
    assert "mismatch=align" in strict.refusal
    assert strict.offset == 4
    assert judge("a", late, REFERENCE, "align").runs == (Run(0, 4, 116),)
    truncated = judge("a", late, REFERENCE, "truncate")
    assert truncated.runs == (Run(0, 0, 116),)
    assert "OUT OF STEP" in truncated.remarks[0]


def test_an_offset_between_videos_of_one_length_is_refused() -> None:
    refusal = judge("a", side(NOISY[4:]), side(CLEAN[:116]), "strict").refusal
    assert refusal is not None
    assert "restored frame 0 shows reference frame 4" in refusal


def test_frames_missing_inside_are_named_with_their_place() -> None:
    lossy = side(np.delete(NOISY, [58, 59], axis=0))
    refusal = judge("a", lossy, REFERENCE, "strict").refusal
    assert refusal is not None
    found = re.search(r"2 frames are missing after restored frame (\d+)", refusal)
    assert found is not None
    assert abs(int(found[1]) - 57) <= 3
    aligned = judge("a", lossy, REFERENCE, "align")
    assert [run.offset for run in aligned.runs] == [0, 2]
    assert aligned.runs[0].frames == int(found[1]) + 1
    assert "118 frames compared in 2 runs, left out: 0 of restored, 2 of reference" in aligned.remarks[0]


def test_still_footage_is_taken_as_in_step_but_its_length_is_checked() -> None:
    still = np.repeat(CLEAN[:1], 40, axis=0)
    same = judge("a", side(still + 3), side(still), "strict")
    assert same.refusal is None
    assert "cannot be told" in same.remarks[0]
    refusal = judge("a", side(still[:38]), side(still), "strict").refusal
    assert refusal is not None
    assert "restored has 38 frames, reference 40" in refusal


def only_remark(restored: Examined, reference: Examined) -> str:
    pairing = judge("a", restored, reference, "strict")
    assert pairing.refusal is None
    assert len(pairing.remarks) == 1
    return pairing.remarks[0]


def test_rates_that_differ_are_remarked_and_rounding_is_not() -> None:
    assert "25 frames a second, reference 24" in only_remark(replace(RESTORED, rate=Fraction(25)), REFERENCE)
    assert judge("a", replace(RESTORED, rate=Fraction(24001, 1000)), REFERENCE, "strict").remarks == ()
    assert judge("a", replace(RESTORED, rate=None), REFERENCE, "strict").remarks == ()


def test_ranges_that_differ_are_remarked() -> None:
    full = replace(RESTORED, colour_range="full")
    assert "restored says full colour range, reference limited" in only_remark(full, REFERENCE)
    assert judge("a", replace(RESTORED, colour_range=None), REFERENCE, "strict").remarks == ()


def test_levels_squeezed_or_stretched_by_a_range_are_remarked_and_contrast_is_not() -> None:
    assert "squeezed" in only_remark(side(NOISY * 219 / 255 + 16), REFERENCE)
    assert "stretched" in only_remark(side((NOISY - 16) * 255 / 219), REFERENCE)
    assert judge("a", side(NOISY * 0.95 + 10), REFERENCE, "strict").remarks == ()
    assert judge("a", side(NOISY * 219 / 255), REFERENCE, "strict").remarks == ()


def test_bars_are_remarked_and_their_difference_too() -> None:
    bars = Bars(40, 40, 0, 0)
    both = judge("a", replace(RESTORED, bars=bars), replace(REFERENCE, bars=bars), "strict").remarks
    assert len(both) == 2
    assert "top 40, bottom 40" in both[0]
    one = judge("a", RESTORED, replace(REFERENCE, bars=bars), "strict").remarks
    assert any("different black bars" in remark for remark in one)


def test_a_copy_of_the_reference_is_remarked() -> None:
    assert "same pictures" in only_remark(REFERENCE, REFERENCE)


def test_another_video_is_remarked() -> None:
    other = moving_texture(120, 99)
    remarks = judge("a", side(other[::-1]), REFERENCE, "truncate").remarks
    assert any("same footage" in remark for remark in remarks)


def test_files_are_judged_end_to_end(tmp_path: Path, carphone: np.ndarray) -> None:
    looks = np.clip(changed_looks(carphone.astype(np.float32)[..., 0], np.random.default_rng(0)), 0, 255)
    write_video(tmp_path / "clean.mp4", carphone, Fraction(30))
    restored = np.repeat(looks[3:, ..., None], 3, axis=-1).astype(np.uint8)
    write_video(tmp_path / "restored.mp4", restored, Fraction(30), options={"crf": "35"})
    sides = [examine(tmp_path / name, lambda _: None) for name in ("restored.mp4", "clean.mp4")]
    pairing = judge("clip", *sides, "align")
    assert pairing.runs == (Run(0, 3, 117),)
