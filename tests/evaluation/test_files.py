import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dvface.errors import UserError
from dvface.evaluation.files import evaluate_files, matched
from dvface.video.read import read_video
from dvface.video.write import LOSSLESS, write_video

PSNR = {"psnr": {"_target_": "dvface.metrics.psnr.PSNR"}}


def write(path: Path, frames: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, Fraction(25), **LOSSLESS)
    return path


def grey(level: int, frames: int = 3) -> np.ndarray:
    return np.full((frames, 32, 32, 3), level, np.uint8)


def test_folders_are_matched_by_name_and_averaged_over_clips(tmp_path: Path) -> None:
    for name, level in (("one", 110), ("two", 120)):
        write(tmp_path / "restored" / f"{name}.mp4", grey(level))
        write(tmp_path / "reference" / f"{name}.mp4", grey(100))
    write(tmp_path / "reference" / "three.mp4", grey(100))
    table, remarks = evaluate_files(tmp_path / "restored", tmp_path / "reference", PSNR, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    by_name = {clip["name"]: clip["psnr"] for clip in report["clips"]}
    for name in by_name:
        one, other = (read_video(tmp_path / side / f"{name}.mp4").astype(float) for side in ("restored", "reference"))
        assert by_name[name] == pytest.approx(20 * np.log10(255 / np.abs(one - other)).mean(), abs=0.01)
    assert report["mean"]["psnr"] == pytest.approx((by_name["one"] + by_name["two"]) / 2)
    assert "one" in table
    assert remarks == ["three: no restored video of that name"]
    assert (tmp_path / "out" / "metrics.csv").read_text().count("\n") == 4


def test_frame_folders_and_videos_mix_and_lengths_may_differ(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(5):
        Image.fromarray(grey(100)[0]).save(folder / f"{number}.png")
    video = write(tmp_path / "video.mp4", grey(110))
    evaluate_files(video, folder, PSNR, tmp_path / "out")
    (clip,) = json.loads((tmp_path / "out" / "metrics.json").read_text())["clips"]
    assert (clip["frames"], clip["frames_left_out"]) == (3, 2)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    small = write(tmp_path / "a" / "clip.mp4", grey(0)[:, :16])
    large = write(tmp_path / "b" / "clip.mp4", grey(0))
    with pytest.raises(UserError, match=r"32×16.*32×32"):
        evaluate_files(small, large, PSNR, tmp_path / "out")
    write(tmp_path / "a" / "second.mp4", grey(0))
    write(tmp_path / "d" / "same.mp4", grey(0))
    write(tmp_path / "d" / "same.mkv", grey(0))
    with pytest.raises(UserError, match="have the same name"):
        matched(tmp_path / "d", tmp_path / "a")
    write(tmp_path / "c" / "x.mp4", grey(0))
    write(tmp_path / "c" / "y.mp4", grey(0))
    with pytest.raises(UserError, match="no video has the same name"):
        matched(tmp_path / "a", tmp_path / "c")
    assert not (tmp_path / "out").exists()
