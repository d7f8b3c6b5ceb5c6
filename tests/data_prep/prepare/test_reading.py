"""Raw footage as it is met in life: what is sound comes out whole, what is not is named."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.data_prep.prepare.hostile import GROUP, UNUSABLE, _write, damage, truncated_mp4, write_all

from dvface.data_prep.prepare.frames import RawFrame
from dvface.data_prep.prepare.reading import Reading
from dvface.data_prep.prepare.timing import Clock, Thinning, nominal_rate
from dvface.errors import UserError
from dvface.video.read import read_video
from dvface.video.write import EXACT, write_video

FRAMES = 48


@pytest.fixture(scope="module")
def files(carphone: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_all(tmp_path_factory.mktemp("hostile"), carphone[:FRAMES])


def read(path: Path, rate: Fraction | None = None) -> tuple[list[RawFrame], Reading]:
    with Reading(path, rate) as reading:
        return list(reading), reading


def breaks(frames: list[RawFrame]) -> list[int]:
    return [frame.index for frame in frames if not frame.continues]


def difference(pixels: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(pixels.astype(int) - expected).mean())


def test_sound_footage_comes_out_whole(carphone: np.ndarray, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", carphone[:FRAMES], Fraction(30000, 1001), **EXACT)
    frames, reading = read(tmp_path / "clip.mp4")
    np.testing.assert_array_equal([frame.pixels for frame in frames], carphone[:FRAMES])
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert [frame.seconds for frame in frames] == pytest.approx([n * 1001 / 30000 for n in range(FRAMES)], abs=1e-3)
    assert (reading.rate, reading.decoded, reading.remarks, breaks(frames)) == (Fraction(30000, 1001), 48, [], [0])
    assert reading.facts == {
        "width": 176, "height": 144, "rate": "30000/1001", "codec": "h264", "pixel_format": "gbrp",
        "duration": pytest.approx(1.6016), "rotation": 0, "interlaced": False, "frames": 48,
    }  # fmt: skip


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_gives_nothing_is_refused_in_one_sentence_by_name(files: dict[str, Path], kind: str) -> None:
    with pytest.raises(UserError) as caught:
        read(files[kind])
    message = str(caught.value)
    assert message.startswith(f"{files[kind]} ")
    assert "\n" not in message


def test_high_dynamic_range_is_refused_with_a_remedy(files: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"is HDR \(HLG\); convert it to SDR first"):
        read(files["high_range"])


def test_damage_costs_the_frames_up_to_the_next_keyframe(files: dict[str, Path], carphone: np.ndarray) -> None:
    frames, reading = read(files["corrupt_middle"])
    resumed = FRAMES // 2 + GROUP
    first_lost = next(n for n in range(FRAMES) if n not in {frame.index for frame in frames})
    assert FRAMES // 2 - 4 <= first_lost <= FRAMES // 2
    assert [frame.index for frame in frames] == [*range(first_lost), *range(resumed, FRAMES)]
    assert breaks(frames) == [0, resumed]
    assert reading.remarks == [f"frames {first_lost} to {resumed - 1} are damaged and left out"]
    # Nothing that came out shows the damage.
    assert max(difference(frame.pixels, carphone[frame.index]) for frame in frames) < 5


@pytest.mark.parametrize("number", [9, 12, 15, 16, 19])
def test_no_frame_that_refers_to_damage_comes_out(carphone: np.ndarray, number: int, tmp_path: Path) -> None:
    """MPEG-2, whose decoder sees all damage; frames shown before the broken one may refer to it."""
    path = _write(tmp_path / "clip.mp4", carphone[:32], codec="mpeg2video", options={"bf": "2"})
    whole = read_video(path)
    frames, reading = read(damage(path, number))
    assert 16 < len(frames) < 32
    assert "left out" in reading.remarks[0]
    assert max(difference(frame.pixels, whole[frame.index]) for frame in frames) == 0


@pytest.mark.parametrize("kind", ["truncated_mp4", "truncated_mkv"])
def test_of_a_truncated_file_the_first_part_is_used(files: dict[str, Path], carphone: np.ndarray, kind: str) -> None:
    frames, reading = read(files[kind])
    assert 20 <= len(frames) < FRAMES
    assert any("is cut short" in remark for remark in reading.remarks)
    shown = [round(frame.seconds * 25) for frame in frames]
    assert max(difference(frame.pixels, carphone[at]) for frame, at in zip(frames, shown, strict=True)) < 5


@settings(max_examples=12, deadline=None)
@given(kept=st.floats(0, 1))
def test_however_short_it_is_cut_it_gives_frames_or_one_sentence(
    kept: float, carphone: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = truncated_mp4(folder, carphone[:16])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    said = ""
    try:
        said = f"{len(read(path)[0])} frames"
    except UserError as error:
        said = str(error)
    assert said.startswith(f"{path} ") or int(said.split()[0]) > 0


def test_interlaced_footage_is_deinterlaced(files: dict[str, Path], carphone: np.ndarray) -> None:
    frames, reading = read(files["interlaced"])
    woven = read_video(files["interlaced"])
    assert reading.facts["interlaced"]
    assert reading.remarks == ["is interlaced and was deinterlaced"]
    assert [frame.index for frame in frames] == list(range(FRAMES // 2))
    assert [frame.seconds for frame in frames] == pytest.approx([n / 25 for n in range(FRAMES // 2)])
    # The first field's moment, and nearer to it than the woven frame that it was made from.
    error = [difference(frame.pixels, carphone[2 * frame.index]) for frame in frames]
    assert np.mean(error) < 0.9 * np.mean([difference(woven[n], carphone[2 * n]) for n in range(FRAMES // 2)])


def test_ten_bits_are_read_as_eight(files: dict[str, Path], carphone: np.ndarray) -> None:
    frames, reading = read(files["ten_bit"])
    assert reading.facts["pixel_format"] == "yuv420p10le"
    assert max(difference(frame.pixels, carphone[frame.index]) for frame in frames) < 3


def test_a_phone_held_upright_is_read_upright(files: dict[str, Path], carphone: np.ndarray) -> None:
    frames, reading = read(files["rotated"])
    assert (reading.facts["width"], reading.facts["height"], reading.facts["rotation"]) == (144, 176, -90)
    assert difference(frames[5].pixels, np.rot90(carphone[5], -1)) < 3


def test_pixels_are_made_square(files: dict[str, Path], carphone: np.ndarray) -> None:
    frames, reading = read(files["wide_pixels"])
    assert frames[0].pixels.shape == (144, 256, 3)
    assert reading.facts["width"] == 256
    assert "made square" in reading.remarks[0]
    assert difference(frames[3].pixels[:, 128], carphone[3][:, 88]) < 8


def test_odd_sizes_and_single_frames(files: dict[str, Path], carphone: np.ndarray) -> None:
    np.testing.assert_array_equal(read(files["odd_size"])[0][7].pixels, carphone[7, :-1, :-1])
    assert len(read(files["one_frame"])[0]) == 1


def test_a_jittering_clock_is_no_gap_and_a_pause_is_one(files: dict[str, Path]) -> None:
    frames, reading = read(files["variable_rate"])
    assert len(frames) == FRAMES
    assert breaks(frames) == [0, FRAMES // 2]
    assert float(reading.rate) == pytest.approx(25, rel=0.02)


@pytest.mark.parametrize("rate", [Fraction(15), Fraction(25, 2), Fraction(10)])
def test_fast_footage_is_thinned_by_time(carphone: np.ndarray, rate: Fraction, tmp_path: Path) -> None:
    write_video(tmp_path / "fast.mp4", carphone[:FRAMES], Fraction(50))
    frames, reading = read(tmp_path / "fast.mp4", rate)
    assert (reading.rate, reading.decoded, breaks(frames)) == (rate, FRAMES, [0])
    assert len(frames) == pytest.approx(FRAMES / 50 * rate, abs=1)
    assert [frame.seconds for frame in frames] == pytest.approx([n / rate for n in range(len(frames))], abs=1 / 50)
    slow, reading = read(tmp_path / "fast.mp4", Fraction(60))
    assert (len(slow), reading.rate) == (FRAMES, 50)


def test_few_frames_are_in_memory_at_a_time(carphone: np.ndarray, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", carphone, Fraction(25))
    with Reading(tmp_path / "clip.mp4", None) as reading:
        next(iter(reading))
        assert reading.decoded == 1


def test_a_folder_of_frames(carphone: np.ndarray, tmp_path: Path) -> None:
    for number in range(8):
        Image.fromarray(carphone[number]).save(tmp_path / f"{number + 5}.png")
    Image.fromarray(carphone[0][::2, ::2]).save(tmp_path / "13.png")
    data = (tmp_path / "8.png").read_bytes()
    (tmp_path / "8.png").write_bytes(data[: len(data) // 2])
    frames, reading = read(tmp_path)
    assert [frame.index for frame in frames] == [0, 1, 2, 4, 5, 6, 7, 8]
    assert breaks(frames) == [0, 4, 8]
    np.testing.assert_array_equal(frames[3].pixels, carphone[4])
    assert reading.remarks == ["changes size at frame 8", "frame 3 (8.png) is no readable picture and left out"]
    assert (reading.rate, reading.facts["frames"], reading.facts["width"]) == (25, 9, 176)
    (tmp_path / "none/.hidden.png").mkdir(parents=True)
    with pytest.raises(UserError, match="holds no png or jpg"):
        read(tmp_path / "none")


def test_names_of_bad_pictures_can_be_shown_and_many_are_counted(tmp_path: Path) -> None:
    Image.new("RGB", (4, 2)).save(tmp_path / "0.png")
    for number in range(30):
        (tmp_path / f"{number + 1}\udcff\n.png").write_bytes(b"bad")
    _, reading = read(tmp_path)
    assert len(reading.remarks) == 21
    assert reading.remarks[0] == "frame 1 (1\\udcff\\n.png) is no readable picture and left out"
    assert reading.remarks[-1] == "and 10 more bad pictures"


def test_many_changes_of_size_are_counted(tmp_path: Path) -> None:
    for number in range(24):
        Image.new("RGB", (4, 2 + number % 2)).save(tmp_path / f"{number}.png")
    _, reading = read(tmp_path)
    assert reading.remarks[19:] == ["changes size at frame 20", "and 3 more changes of size"]


def test_many_damaged_stretches_are_counted(carphone: np.ndarray, tmp_path: Path) -> None:
    path = _write(tmp_path / "clip.mp4", carphone[:, :64, :64], codec="mpeg2video", options={"g": "1"})
    for number in range(0, 120, 4):
        damage(path, number)
    _, reading = read(path)
    assert [remark for remark in reading.remarks if "more" in remark] == ["and 10 more damaged stretches"]
    assert len(reading.remarks) == 21


def test_what_is_read_beats_delivered_or_not(carphone: np.ndarray, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", carphone[:FRAMES], Fraction(50))
    (tmp_path / "frames").mkdir()
    for number in range(9):
        (tmp_path / "frames" / f"{number}.png").write_bytes(b"bad")
    beats: list[int] = []
    with Reading(tmp_path / "clip.mp4", Fraction(1), beat=lambda: beats.append(1)) as reading:
        assert len(list(reading)) == 1
    assert len(beats) >= FRAMES
    beats.clear()
    with Reading(tmp_path / "frames", None, beat=lambda: beats.append(1)) as reading, pytest.raises(UserError):
        list(reading)
    assert len(beats) == 9


MILLISECONDS = {
    "steady 25": ([40 * n for n in range(50)], Fraction(25), Fraction(25)),
    "declared 29.97": ([round(n * 1001 / 30) for n in range(50)], Fraction(30000, 1001), Fraction(30000, 1001)),
    "film on a 60 Hz grid": ([83 * (n // 2) + 50 * (n % 2) for n in range(50)], None, 24.1),
    "a screen that mostly stands still": ([17 * n + 3000 * (n // 10) for n in range(50)], Fraction(3), 58.8),
    "each field a packet": ([20 * n for n in range(50)], Fraction(25), Fraction(25)),
}  # fmt: skip


@pytest.mark.parametrize("kind", MILLISECONDS)
def test_the_nominal_rate(kind: str) -> None:
    times, declared, expected = MILLISECONDS[kind]
    rate, believed = nominal_rate([Fraction(time, 1000) for time in reversed(times)], declared)
    assert believed
    assert float(rate) == pytest.approx(float(expected), rel=0.001 if isinstance(expected, Fraction) else 0.01)


def test_useless_timestamps_are_counted() -> None:
    assert nominal_rate([None, None], Fraction(30)) == (30, False)
    assert nominal_rate([Fraction(1)] * 9, None) == (25, False)


@pytest.mark.parametrize("declared", [None, Fraction(30), Fraction(1, 5000)])
def test_times_of_no_rate_fall_back(declared: Fraction | None) -> None:
    hours = [Fraction(5000 * n) for n in range(4)]
    assert nominal_rate(hours, declared) == (declared or 25, True)
    instants = [Fraction(n, 10**9) for n in range(4)]
    assert nominal_rate(instants, declared) == (declared or 25, False)


def test_pictures_hours_apart_are_read_each_as_a_scene(carphone: np.ndarray, tmp_path: Path) -> None:
    path = _write(tmp_path / "hours.mkv", carphone[:3], times=[0, 5_000_000, 10_000_000])
    frames, reading = read(path, Fraction(25))
    assert (breaks(frames), reading.rate > 0) == ([0, 1, 2], True)


def place(clock: Clock, times: list[float | None]) -> list[tuple[float, bool] | None]:
    placed = [clock.place(None if time is None else Fraction(time).limit_denominator(1000)) for time in times]
    return [None if one is None else (float(one[0]), one[1]) for one in placed]


def test_gaps_and_doubles_in_time() -> None:
    clock = Clock(Fraction(10), counting=False)
    assert place(clock, [5, 5.1, 5.1, 5.24, 5.44]) == [
        (0, False), (0.1, True), None, (0.24, True), (0.44, False),
    ]  # fmt: skip
    assert clock.remarks == [
        "1 frames have the time of the frame before and are left out",
        "1 gaps in time part the footage",
    ]


def test_time_that_runs_backwards_is_counted_from_there() -> None:
    clock = Clock(Fraction(10), counting=False)
    assert place(clock, [0, 0.1, 0.05, 7]) == [
        (0, False), (0.1, True), (pytest.approx(0.2), False), (pytest.approx(0.3), True),
    ]  # fmt: skip
    assert len(clock.remarks) == 1


@settings(deadline=None, max_examples=40)
@given(
    native=st.fractions(10, 120, max_denominator=1001),
    rate=st.fractions(5, 60, max_denominator=1001),
    seed=st.integers(0, 99),
)
def test_thinned_footage_keeps_its_rate_whatever_the_jitter(native: Fraction, rate: Fraction, seed: int) -> None:
    thinning = Thinning(native, rate)
    jitter = np.random.default_rng(seed).uniform(-0.2, 0.2, 200)
    times = [(n + Fraction(shift)) / native for n, shift in enumerate(jitter)]
    kept = [time for n, time in enumerate(times) if thinning.keeps(time, continues=n > 0)]
    assert len(kept) == pytest.approx(len(times) * thinning.rate / native, abs=2)
    assert all(later > earlier for earlier, later in pairwise(kept))
