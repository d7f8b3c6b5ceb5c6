import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.videos import brighter, moving, write, write_pictures
from torchvision.models import alexnet

from dvface.errors import UserError
from dvface.evaluation import evaluate as module
from dvface.evaluation.evaluate import Measures, evaluate
from dvface.evaluation.results import SetResult
from dvface.evaluation.writing import write_results

PSNR = {"psnr": {"_target_": "dvface.metrics.psnr.PSNR"}}
FLICKER = {"frame_difference": {"_target_": "dvface.metrics.flicker.FrameDifferenceError"}}
EWARP = {
    "ewarp": {
        "_target_": "dvface.metrics.warping.WarpingError",
        "name": "ewarp",
        "flow": {"_target_": "dvface.perception.optical_flow.DISFlow"},
    }
}
DECIBELS = {5: 34.1514, 10: 28.1308, 20: 22.1102}
"""PSNR by hand: 20 log10(255 / levels)."""


def work(methods, reference, metrics, out, mismatch="strict") -> list[SetResult]:
    measures = Measures(metrics, with_reference=reference is not None)
    results = evaluate(methods, reference, measures, out, mismatch, lambda line: None)
    write_results(results, out)
    return results


def two_clips(folder: Path) -> tuple[Path, Path]:
    for name, levels in (("one", 10), ("two", 20)):
        frames = moving(20, seed=len(name) + levels)
        write(folder / "restored" / f"{name}.mp4", brighter(frames, levels))
        write(folder / "reference" / f"{name}.mp4", frames)
    return folder / "restored", folder / "reference"


def test_a_set_is_measured_frame_by_frame_and_averaged_over_clips(tmp_path: Path) -> None:
    restored, reference = two_clips(tmp_path)
    write(reference / "three.mp4", moving(3))
    (result,) = work({"restored": restored}, reference, {**PSNR, **FLICKER}, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {clip["name"]: clip["psnr"] for clip in report["clips"]} == pytest.approx(
        {"one": DECIBELS[10], "two": DECIBELS[20]}, abs=1e-3
    )
    assert report["mean"]["psnr"] == pytest.approx((DECIBELS[10] + DECIBELS[20]) / 2, abs=1e-3)
    assert report["interval"]["psnr"] == pytest.approx([DECIBELS[20], DECIBELS[10]], abs=1e-3)
    assert [(clip["frames"], clip["offset"]) for clip in report["clips"]] == [(20, 0), (20, 0)]
    assert report["networks"] == {"psnr": None, "frame_difference": None}
    assert any("three" in remark for remark in report["remarks"])
    assert result.mean["frame_difference"] == pytest.approx(0, abs=1e-6)
    frames = list(csv.DictReader((tmp_path / "out" / "frames.csv").open()))
    assert len(frames) == 40
    assert float(frames[25]["psnr"]) == pytest.approx(DECIBELS[20], abs=1e-3)
    assert frames[20]["frame_difference"] == ""  # a clip's first frame has none before it
    for name in ("metrics.csv", "metrics.md", "metrics.tex", "report.html"):
        assert (tmp_path / "out" / name).stat().st_size > 100


def test_a_video_and_a_folder_of_frames_are_equal(tmp_path: Path) -> None:
    frames = moving(9)
    clean = write(tmp_path / "clean.mp4", frames)
    (one,) = work({"a": write(tmp_path / "a.mp4", brighter(frames, 5))}, clean, PSNR, tmp_path / "one")
    folder = write_pictures(tmp_path / "frames", brighter(frames, 5))
    (other,) = work({"a": folder}, clean, PSNR, tmp_path / "other")
    assert one.mean == other.mean
    assert one.mean["psnr"] == pytest.approx(DECIBELS[5], abs=1e-3)


def test_several_methods_are_compared(tmp_path: Path) -> None:
    frames = moving(9)
    clean = write(tmp_path / "clean.mp4", frames)
    methods = {name: write(tmp_path / f"{name}.mp4", brighter(frames, int(name[1:]))) for name in ("m5", "m10", "m20")}
    work(methods, clean, PSNR, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    found = {name: each["mean"]["psnr"] for name, each in report["methods"].items()}
    assert found == pytest.approx({f"m{levels}": value for levels, value in DECIBELS.items()}, abs=1e-3)
    assert report["mean"]["psnr"] == found["m5"]
    latex = (tmp_path / "out" / "metrics.tex").read_text()
    assert r"\textbf{34.15" in latex
    assert r"\underline{28.13" in latex
    assert (tmp_path / "out" / "methods" / "m10" / "frames.csv").is_file()


def test_frames_that_are_compared_with_the_wrong_ones_stop_it_unless_told_otherwise(tmp_path: Path) -> None:
    frames = moving(60)
    clean = write(tmp_path / "clean.mp4", frames[:50])
    late = {"late": write(tmp_path / "late.mp4", brighter(frames[4:54], 10))}
    with pytest.raises(UserError, match="4"):
        work(late, clean, PSNR, tmp_path / "out")
    assert not (tmp_path / "out" / "metrics.json").exists()
    (aligned,) = work(late, clean, PSNR, tmp_path / "out", "align")
    assert (aligned.clips[0].offset, aligned.clips[0].frames) == (4, 46)
    assert aligned.mean["psnr"] == pytest.approx(DECIBELS[10], abs=1e-3)
    (truncated,) = work(late, clean, PSNR, tmp_path / "out", "truncate")
    assert truncated.clips[0].frames == 50
    assert truncated.mean["psnr"] < DECIBELS[10] - 1
    assert truncated.clips[0].remarks


def test_a_gap_is_no_change_from_one_frame_to_the_next(tmp_path: Path) -> None:
    frames = moving(60)
    clean = write(tmp_path / "clean.mp4", frames)
    dropped = {"dropped": write(tmp_path / "dropped.mp4", np.delete(frames, slice(30, 36), axis=0))}
    (result,) = work(dropped, clean, FLICKER, tmp_path / "out", "align")
    assert result.clips[0].frames == 54
    assert result.mean["frame_difference"] == pytest.approx(0, abs=1e-6)
    assert [number is None for number in result.clips[0].per_frame["frame_difference"]].count(True) == 2


def test_it_goes_on_where_it_was_cut_short_and_takes_only_new_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored, reference = two_clips(tmp_path)
    whole = work({"restored": restored}, reference, {**PSNR, **EWARP}, tmp_path / "whole")
    real, watched = module.look, []

    def cut_short(suite, names, clip, *others):
        watched.append(list(names))
        if len(watched) == 2:
            raise KeyboardInterrupt
        return real(suite, names, clip, *others)

    monkeypatch.setattr(module, "look", cut_short)
    with pytest.raises(KeyboardInterrupt):
        work({"restored": restored}, reference, PSNR, tmp_path / "out")
    work({"restored": restored}, reference, PSNR, tmp_path / "out")
    assert len(watched) == 3  # the first clip was not watched again
    again = work({"restored": restored}, reference, {**PSNR, **EWARP}, tmp_path / "out")
    assert watched[3:] == [["ewarp"], ["ewarp"]]
    assert again[0].mean == whole[0].mean
    assert [clip.per_frame for clip in again[0].clips] == [clip.per_frame for clip in whole[0].clips]
    assert (tmp_path / "out" / "metrics.json").read_text() == (tmp_path / "whole" / "metrics.json").read_text()


def test_a_changed_video_is_measured_anew(tmp_path: Path) -> None:
    restored, reference = two_clips(tmp_path)
    before = work({"restored": restored}, reference, PSNR, tmp_path / "out")
    write(restored / "one.mp4", brighter(moving(20, seed=13), 5))
    after = work({"restored": restored}, reference, PSNR, tmp_path / "out")
    assert [clip.values["psnr"] for clip in after[0].clips] == pytest.approx([DECIBELS[5], DECIBELS[20]], abs=1e-3)
    assert before[0].clips[1] == after[0].clips[1]


def test_the_worst_frames_are_drawn(tmp_path: Path) -> None:
    frames = moving(40)
    restored = brighter(frames, 5)
    for number, levels in ((3, 60), (4, 70), (35, 90)):
        restored[number] = brighter(frames[number : number + 1], levels)[0]
    clean = write(tmp_path / "clean.mp4", frames)
    (result,) = work({"a": write(tmp_path / "a.mp4", restored)}, clean, PSNR, tmp_path / "out")
    worst = result.clips[0].worst
    assert [frame.frame for frame in worst][:2] == [35, 4]  # one of each stretch of 16 frames
    for frame in worst:
        assert frame.value == pytest.approx(result.clips[0].per_frame["psnr"][frame.frame])
        assert (tmp_path / "out" / frame.picture).is_file()


def test_without_a_reference_measures_that_need_one_are_left_out(tmp_path: Path) -> None:
    videos = {"a": write(tmp_path / "a.mp4", moving(9))}
    (result,) = work(videos, None, {**PSNR, **EWARP}, tmp_path / "out")
    assert "ewarp" in result.mean
    assert "reference" in result.left_out["psnr"]
    with pytest.raises(UserError, match="no measure can be taken"):
        work(videos, None, PSNR, tmp_path / "out")


def test_a_video_that_cannot_be_read_is_named_and_refused_or_passed_over(tmp_path: Path) -> None:
    restored, reference = two_clips(tmp_path)
    (restored / "two.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match="two"):
        work({"restored": restored}, reference, PSNR, tmp_path / "out")
    (result,) = work({"restored": restored}, reference, PSNR, tmp_path / "out", "align")
    assert [clip.name for clip in result.clips] == ["one"]
    assert any("two" in remark for remark in result.remarks)
    assert not math.isnan(result.mean["psnr"])


def test_means_over_different_clips_are_not_ranked(tmp_path: Path) -> None:
    restored, reference = two_clips(tmp_path)
    write(tmp_path / "few" / "one.mp4", brighter(moving(20, seed=13), 5))
    work({"all": restored, "few": tmp_path / "few"}, reference, PSNR, tmp_path / "out")
    latex = (tmp_path / "out" / "metrics.tex").read_text()
    assert r"\textbf" not in latex
    assert "Not ranked" in latex


def test_frames_too_small_for_a_measure_have_no_answer_and_stop_nothing(tmp_path: Path) -> None:
    frames = moving(4, side=10)
    small = {"a": write(tmp_path / "a.mp4", brighter(frames, 5))}
    ssim = {"ssim": {"_target_": "dvface.metrics.ssim.SSIM"}}
    (result,) = work(small, write(tmp_path / "b.mp4", frames), {**PSNR, **ssim, **EWARP}, tmp_path / "out")
    assert result.mean["psnr"] == pytest.approx(DECIBELS[5], abs=0.1)
    assert set(result.left_out) == {"ssim", "ewarp"}
    assert any("11 pixels" in remark for remark in result.clips[0].remarks)


def test_names_with_spaces_and_dots_stay_within_the_output_folder(tmp_path: Path) -> None:
    clean, restored = moving(4), brighter(moving(4), 5)
    write(tmp_path / "b" / "x .. .. evil.mp4", clean)
    write(tmp_path / "a" / "x .. .. evil.mp4", restored)
    before = {path for path in tmp_path.rglob("*") if "out" not in path.parts}
    (result,) = work({"m a": tmp_path / "a"}, tmp_path / "b", PSNR, tmp_path / "out" / "deep")
    assert {path for path in tmp_path.rglob("*") if "out" not in path.parts} == before
    assert (tmp_path / "out" / "deep" / result.clips[0].worst[0].picture).is_file()


def test_what_earlier_measures_found_is_kept_and_the_worst_frames_follow_the_first_measure(tmp_path: Path) -> None:
    restored, reference = two_clips(tmp_path)
    methods = {"restored": restored}
    work(methods, reference, FLICKER, tmp_path / "out")
    work(methods, reference, PSNR, tmp_path / "out")
    again = work(methods, reference, {**PSNR, **FLICKER}, tmp_path / "out")
    whole = work(methods, reference, {**PSNR, **FLICKER}, tmp_path / "whole")
    assert again == whole
    for picture in (tmp_path / "out" / "worst").rglob("*.jpg"):
        picture.unlink()
    work(methods, reference, {**PSNR, **FLICKER}, tmp_path / "out")
    assert all((tmp_path / "out" / frame.picture).is_file() for clip in whole[0].clips for frame in clip.worst)


def test_other_weights_of_the_same_name_are_not_taken_for_the_old(tmp_path: Path) -> None:
    frames = moving(4, side=64)
    clean, a = write(tmp_path / "b.mp4", frames), {"a": write(tmp_path / "a.mp4", brighter(frames, 9))}
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        (tmp_path / "weights").mkdir(exist_ok=True)
        torch.save(alexnet(weights=None).state_dict(), tmp_path / "weights" / "trunk.pth")
        lpips = {
            "lpips_alex": {
                "_target_": "dvface.metrics.perceptual.PerceptualDistance",
                "name": "lpips_alex",
                "network": {
                    "_target_": "dvface.perception.perceptual.LPIPS",
                    "network": "alex",
                    "weights": str(tmp_path / "weights" / "trunk.pth"),
                },
            }
        }
        (result,) = work(a, clean, lpips, tmp_path / "out")
        found.append(result.mean["lpips_alex"])
    assert found[0] != found[1]


def test_another_model_of_niqe_in_the_same_place_is_noticed(tmp_path: Path) -> None:
    names = {"mean": "mu_pris_param", "covariance": "cov_pris_param"}
    noise = np.random.default_rng(0).integers(0, 255, (2, 200, 200, 3)).astype(np.uint8)
    video = {"a": write(tmp_path / "a.mp4", noise)}
    found = []
    for scale in (1.0, 2.0):
        np.savez(tmp_path / "model.npz", **{names["mean"]: np.ones((1, 36)), names["covariance"]: scale * np.eye(36)})
        niqe = {"niqe": {"_target_": "dvface.metrics.niqe.NIQE", "parameters": str(tmp_path / "model.npz")}}
        (result,) = work(video, None, niqe, tmp_path / "out")
        found.append(result.mean["niqe"])
    assert found[0] != found[1]
