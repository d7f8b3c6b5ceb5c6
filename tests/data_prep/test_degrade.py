import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.data_prep.footage import RATE, contents, light, run, write_folder

from dvface.data.pairing import as_bytes, degrade_once
from dvface.data.shards import CLEAN, DEGRADED, META, read_manifest, read_samples, shard_paths, verify, write_shards
from dvface.data.stream import to_tensor
from dvface.data_prep.memory import check_memory
from dvface.data_prep.plan import Plan
from dvface.data_prep.work import psnr
from dvface.errors import UserError
from dvface.metrics.psnr import PSNR
from dvface.video.decode import PyAVReader, open_clip
from dvface.video.read import read_video
from dvface.video.write import write_video


@pytest.fixture(scope="module")
def clean(carphone: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("clean"), carphone[:, 30:101, 40:130])


@pytest.fixture(scope="module")
def videos(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(clean, tmp_path_factory.mktemp("videos") / "out")


@pytest.fixture(scope="module")
def shards(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(clean, tmp_path_factory.mktemp("shards") / "out", "format=shards", "clip_frames=5", "clips_per_shard=2")


def write_cut_short(path: Path, frames: np.ndarray) -> None:
    """A video whose index promises more than the file has."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame))))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def whole(data: bytes) -> np.ndarray:
    one, other = ((reader := kind(data)).read(0, len(reader)) for kind in (open_clip, PyAVReader))
    assert np.array_equal(one, other)
    return one


def test_the_manifest_says_what_lies_in_the_folder(videos: Path, clean: Path) -> None:
    entries = read_manifest(videos)
    assert [entry["key"] for entry in entries] == ["a_clip", "deep_pictures", "deep_б"]
    assert [entry["source"] for entry in entries] == ["a clip.mp4", "deep/pictures", "deep/б.mkv"]
    assert [(e["frames"], e["height"], e["width"]) for e in entries] == [(9, 72, 90), (10, 71, 90), (11, 71, 89)]
    assert [entry["rate"] for entry in entries] == ["30000/1001", "25", "25"]
    for entry in entries:
        source = read_video(clean / entry["source"])
        stored, degraded = (read_video(videos / entry[side]) for side in ("clean", "degraded"))
        assert np.array_equal(stored, source)
        reference = PSNR()
        reference.update(to_tensor(degraded)[None], to_tensor(stored)[None])
        assert entry["psnr"] == pytest.approx(float(reference.compute()), abs=1e-3)
    assert verify(videos) == []
    assert not (videos / "rejected.jsonl").exists()


def test_a_record_replays_to_the_stored_pixels_bit_for_bit(videos: Path, shards: Path) -> None:
    recipe, checked = light(), 0
    pairs = [
        (entry, *((videos / entry[side]).read_bytes() for side in ("clean", "degraded")))
        for entry in read_manifest(videos)
    ]
    by_key = {entry["key"]: entry for entry in read_manifest(shards)}
    for sample in read_samples(shard_paths(shards)):
        entry = by_key[sample["__key__"]]
        assert json.loads(sample[META])["record"] == entry["record"]
        pairs.append((entry, sample[CLEAN], sample[DEGRADED]))
    for entry, clean, degraded in pairs:
        pixels = whole(clean)
        assert np.array_equal(
            as_bytes(recipe.replay(pixels.astype(np.float32) / 255, entry["record"])), whole(degraded)
        )
        assert np.array_equal(degrade_once(recipe, pixels, 0, entry["key"])[0], whole(degraded))
        checked += 1
    assert checked == 3 + 5


def test_videos_are_cut_into_clips_and_the_rest_is_counted(shards: Path, clean: Path, tmp_path: Path) -> None:
    entries = read_manifest(shards)
    keys = ["a_clip-000000", "deep_pictures-000000", "deep_pictures-000005", "deep_б-000000", "deep_б-000005"]
    assert [entry["key"] for entry in entries] == keys
    assert [entry["shard"] for entry in entries] == [f"shard-0000{n}.tar" for n in (0, 0, 1, 1, 2)]
    (sample,) = (sample for sample in read_samples(shard_paths(shards)) if sample["__key__"] == "deep_б-000005")
    assert np.array_equal(whole(sample[CLEAN]), read_video(clean / "deep" / "б.mkv", 5, 10))
    assert verify(shards) == []
    said: list[str] = []
    out = run(clean, tmp_path / "out", "clip_frames=5", "clips_per_shard=1", say=said.append)
    assert [entry["first_frame"] for entry in read_manifest(out)] == [0, 0, 5, 0, 5]
    assert any("left out: 5 frames" in line for line in said)


def test_more_jobs_write_the_same_bytes(clean: Path, videos: Path, tmp_path: Path) -> None:
    assert contents(run(clean, tmp_path / "out", "jobs=2")) == contents(videos)


def test_the_seed_and_the_recipe_decide(clean: Path, videos: Path, tmp_path: Path) -> None:
    other = run(clean, tmp_path / "out", "seed=1")
    same = {entry["key"]: entry for entry in read_manifest(videos)}
    for entry in read_manifest(other):
        assert entry["clean_sha256"] == same[entry["key"]]["clean_sha256"]
        assert entry["degraded_sha256"] != same[entry["key"]]["degraded_sha256"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=1"], "seed: 0 there, 1 asked"),
        (["degradation=vfhq"], "degradation.name: light there, vfhq asked"),
        (["degradation.operators.h264.crf=[30,31]"], r"h264\.crf: \[24, 46\] there, \[30, 31\] asked"),
        (["format=shards"], "format: videos there, shards asked"),
        (["clip_frames=5"], "clip_frames: None there, 5 asked"),
    ],
)
def test_other_settings_never_mix_with_what_is_there(clean: Path, videos: Path, words: list[str], message: str) -> None:
    before = contents(videos)
    with pytest.raises(UserError, match=f"{message}.*give another output folder or delete it"):
        run(clean, videos, *words)
    assert contents(videos) == before


def test_other_footage_never_mixes_with_what_is_there(carphone: np.ndarray, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    clean.mkdir()
    write_video(clean / "one.mp4", carphone[:3, :32, :32], RATE)
    out = run(clean, tmp_path / "out")
    write_video(clean / "two.mp4", carphone[:3, :32, :32], RATE)
    with pytest.raises(UserError, match=r"input\.count: 1 there, 2 asked"):
        run(clean, out)


def test_a_finished_data_set_is_left_alone(clean: Path, videos: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in videos.rglob("*")}
    said: list[str] = []
    run(clean, videos, say=said.append)
    assert "finished before: 3 clips" in said[-1]
    assert {path: path.stat().st_mtime_ns for path in videos.rglob("*")} == before


def test_bad_inputs_are_named_and_stop_nothing(carphone: np.ndarray, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    (clean / "empty").mkdir(parents=True)
    (clean / "mixed").mkdir()
    small = carphone[:, :48, :64]
    write_video(clean / "good.mp4", small[:7], RATE)
    (clean / "text.mp4").write_text("no video")
    (clean / "notes.txt").write_text("not even called one")
    write_video(clean / "single.mp4", small[:1], RATE)
    write_cut_short(clean / "cut.mp4", small[:40])
    data = (clean / "good.mp4").read_bytes()
    (clean / "no_index.mp4").write_bytes(data[: len(data) // 2])
    (clean / "broken_frames").mkdir()
    Image.fromarray(small[0]).save(clean / "broken_frames" / "0.png")
    (clean / "broken_frames" / "1.png").write_text("no picture")
    write_video(clean / "mixed" / "video.mp4", small[:5], RATE)
    Image.fromarray(small[0]).save(clean / "mixed" / "thumbnail.png")
    said: list[str] = []
    out = run(clean, tmp_path / "out", "clip_frames=2", say=said.append)
    assert [entry["key"] for entry in read_manifest(out)] == [
        "good-000000", "good-000002", "good-000004", "mixed_video-000000", "mixed_video-000002",
    ]  # fmt: skip
    rejected = {line["source"]: line["reason"] for line in map(json.loads, (out / "rejected.jsonl").open())}
    for source, words in {
        "text.mp4": "cannot be opened as a video",
        "cut.mp4": "damaged or cut short",
        "no_index.mp4": "cannot be opened as a video",
        "single.mp4": "too short: 1 of clip_frames=2",
        "empty": "no video and no frames",
        "mixed": "pictures beside videos",
        "broken_frames": "no readable picture",
    }.items():
        assert words in rejected.pop(source)
        assert any(line.startswith(f"rejected: {source}: ") for line in said)
    assert not rejected
    assert any(line.endswith("rejected 7 inputs") for line in said)
    assert verify(out) == []


def test_a_clip_that_the_recipe_cannot_take_is_named(carphone: np.ndarray, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    clean.mkdir()
    write_video(clean / "good.mp4", carphone[:3, :32, :32], RATE)
    for number in range(2):  # frames of another size
        (clean / "odd").mkdir(exist_ok=True)
        Image.fromarray(carphone[0, : 32 + number, :32]).save(clean / "odd" / f"{number}.png")
    out = run(clean, tmp_path / "out")
    assert [entry["key"] for entry in read_manifest(out)] == ["good"]
    assert "changes size at frame 1" in (out / "rejected.jsonl").read_text()


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean" / "text.mp4").write_text("no video")
    with pytest.raises(UserError, match=r"1 inputs were rejected, the first is text\.mp4: cannot be opened"):
        run(tmp_path / "clean", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_that_collide_are_refused(carphone: np.ndarray, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    clean.mkdir()
    for name in ("a b.mp4", "a_b.mkv"):
        write_video(clean / name, carphone[:2, :32, :32], RATE)
    with pytest.raises(UserError, match=r"a b\.mp4 and a_b\.mkv would both be called a_b"):
        run(clean, tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["input={tmp}/nowhere", "output={tmp}/out"], "nowhere does not exist"),
        (["input={tmp}/clean", "output={tmp}/out"], "holds no video file and no folder of frames"),
        (["input={video}", "output={video}/out"], "lie within one another"),
        (["input={video}", "output={tmp}"], "holds other files"),
        (["input={video}", "output={tmp}/out", "degradation=vfh"], "did you mean 'vfhq'"),
        (["input={video}", "output={tmp}/out", "clip_frames=0"], "clip_frames"),
        (["input={video}", "output={tmp}/out", "jobs=0"], "^jobs=0: give 1 or more"),
        (["input={video}", "output={tmp}/out", "format=tar"], "'videos' or 'shards'"),
        (["input={paired}", "output={tmp}/out"], "give its clean side"),
    ],
)
def test_mistakes_are_refused_before_any_work(
    words: list[str], message: str, clean: Path, videos: Path, tmp_path: Path
) -> None:
    (tmp_path / "clean").mkdir()
    (tmp_path / "file").write_text("other")
    filled = [word.format(tmp=tmp_path, video=clean, paired=videos) for word in words]
    source, folder, *rest = (word.removeprefix("input=").removeprefix("output=") for word in filled)
    with pytest.raises(UserError, match=message) as caught:
        run(Path(source), Path(folder), *rest)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_clip_that_does_not_fit_into_memory_is_refused_with_the_remedy() -> None:
    class OneUnit:
        name, count = "one", 1

    check_memory(Plan([OneUnit()], largest=("film.mp4", 10**6)), jobs=4, available=10**8)
    with pytest.raises(UserError, match=r"film\.mp4 needs about 3\.0 GiB .* clip_frames=N"):
        check_memory(Plan([OneUnit()], largest=("film.mp4", 10**8)), jobs=4, available=10**9)


def test_a_data_set_that_was_tampered_with_is_found_out(clean: Path, tmp_path: Path) -> None:
    out = run(clean, tmp_path / "out")
    assert verify(out) == []
    changed = out / "degraded" / "a_clip.mp4"
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    (out / "clean" / "deep_б.mp4").unlink()
    (out / "clean" / "more.mp4").write_text("more")
    faults = verify(out)
    assert len(faults) == 3
    assert "clean/deep_б.mp4 is missing" in faults
    assert "clean/more.mp4 is not in the manifest" in faults
    assert any(fault.startswith("degraded/a_clip.mp4 differs") for fault in faults)


def test_shards_keep_their_clips_order_and_meta(small_shards: Path, tmp_path: Path) -> None:
    out = run(small_shards, tmp_path / "out", "format=shards", "clips_per_shard=1")
    for one, other in zip(shard_paths(small_shards), sorted(shard_paths(out)), strict=True):
        before, after = list(read_samples([one])), list(read_samples([other]))
        assert one.name == other.name
        assert [sample["__key__"] for sample in before] == [sample["__key__"] for sample in after]
        for left, right in zip(before, after, strict=True):
            assert np.array_equal(whole(left[CLEAN]), whole(right[CLEAN]))
    as_videos = run(small_shards, tmp_path / "videos")
    assert [entry["record"] for entry in read_manifest(as_videos)] == [entry["record"] for entry in read_manifest(out)]
    assert verify(out) == verify(as_videos) == []


def test_a_damaged_shard_is_named(carphone: np.ndarray, tmp_path: Path) -> None:
    from dvface.data.shards import Clip

    clips = [Clip(f"clip-{n}", carphone[n : n + 3, :32, :32], RATE) for n in range(2)]
    write_shards(tmp_path / "clean", clips, clips_per_shard=1)
    (tmp_path / "clean" / "shard-00000.tar").write_text("no tar")
    out = run(tmp_path / "clean", tmp_path / "out", "format=shards")
    assert [entry["key"] for entry in read_manifest(out)] == ["clip-1"]
    assert json.loads((out / "rejected.jsonl").read_text())["source"] == "shard-00000.tar"


def test_the_preview_shows_the_clean_frame_and_eight_draws(clean: Path, tmp_path: Path) -> None:
    said: list[str] = []
    run(clean, tmp_path / "out", "preview=true", say=said.append)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["preview.png"]
    assert said[0].startswith("recipe light: ")
    picture = np.asarray(Image.open(tmp_path / "out" / "preview.png"))
    side = picture.shape[1] // 3
    strip = picture.shape[0] // 3 - side
    assert 0 < strip < 40
    assert side >= 144, "small faces are enlarged"
    panels = [
        picture[row * (strip + side) + strip : (row + 1) * (strip + side), column * side : (column + 1) * side]
        for row in range(3)
        for column in range(3)
    ]
    scale = next(n for n in (1, 2, 3, 4) if side % n == 0 and side // n <= 72 and max(1, 256 * n // side) == n)
    shown = panels[0][::scale, ::scale]
    frame = read_video(clean / "a clip.mp4")[4]
    windows = np.lib.stride_tricks.sliding_window_view(frame, (*shown.shape[:2], 3))
    assert (windows[:, :, 0] == shown).all(axis=(2, 3, 4)).any(), "a square of the clean frame"
    assert len({panel.tobytes() for panel in panels}) == 9
    run(clean, tmp_path / "out")  # a preview does not keep the data set from its folder


def test_quality_is_a_mean_over_frames_with_a_cap() -> None:
    clean = np.zeros((2, 4, 4, 3), np.uint8)
    degraded = clean.copy()
    degraded[0] += 10
    assert psnr(degraded, clean) == pytest.approx((20 * np.log10(25.5) + 100) / 2, abs=1e-4)
