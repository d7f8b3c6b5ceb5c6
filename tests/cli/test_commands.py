import json
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import SMALLEST

from dvface.cli import main
from dvface.config.compose import load, resolve
from dvface.data.shards import read_manifest
from dvface.video.read import read_video
from dvface.video.write import write_video


def dvface(
    arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command, in this process."""
    monkeypatch.setattr(sys, "argv", ["dvface", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.run()
    output = capsys.readouterr()
    return int(ended.value.code or 0), output.out, output.err


def test_help_answers_without_heavy_imports() -> None:
    code = (
        "import sys; sys.argv = ['dvface', '--help']\n"
        "from dvface.cli.main import run\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'hydra', 'mlflow', 'lightning', 'av', 'cv2'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in (
        "train",
        "restore",
        "evaluate",
        "compare",
        "ui",
        "config",
        "summary",
        "verify",
        "doctor",
        "weights",
    ):
        assert command in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "exp=nothing"], "exp=nothing"),
        (["train", "resume=nowhere"], "no run folder"),
        (["train", "resume=nowhere", "seed=1"], "takes no other setting"),
        (
            [
                "train",
                "data=shards",
                "data.source.train=nowhere",
                "data.source.held_out=nowhere",
                "runs={tmp}",
            ],
            "no data set of shards",
        ),
        (["restore"], "input has no value"),
        (["restore", "input={tmp}", "output=b.mp4", "checkpoint=newest", "runs={tmp}"], "no trained model below"),
        (["restore", "input=nowhere.mp4", "output=a.mp4"], "input nowhere.mp4 does not exist"),
        (["restore", f"input={__file__}", f"output={__file__}", "checkpoint=nowhere"], "is the input itself"),
        (["restore", "input=a.mp4", "output=b.mp4", "mode=face"], "mode='face'"),
        (["restore", "input=a.mp4", "output=b.mp4", "fidelity=2"], "fidelity=2"),
        (["restore", "input=a.mp4", "output=b.mp4", "window=abc"], "window='abc': input should be a valid integer"),
        (["evaluate", "restored=nowhere", "reference=nowhere"], "restored=nowhere does not exist"),
        (["evaluate", "reference=nowhere"], "reference= needs restored=VIDEOS beside it"),
        (["evaluate", "restored=a", "metrics=[psnr,sim]"], "did you mean 'ssim'"),
        (["evaluate", "restored=a", "mismatch=crop"], "mismatch='crop': input should be 'strict', 'truncate' or"),
        (["evaluate", "restored={../a:b}", "reference=c"], "a method's name becomes a folder's"),
        (["evaluate", "restored={}", "reference=c"], "give a path, or methods as {NAME: PATH"),
        (["evaluate", "restored=", "reference=c"], "is empty; give a path"),
        (["evaluate", "restored=a", "reference="], "reference"),
        (["evaluate", "restored=a", "report=paper", "testset=efficiency"], "not measured on videos"),
        (["evaluate", "restored=a", "report=paper", "testset=vfhq"], "did you mean 'vfhq_test'"),
        (["evaluate", "checkpoint=nowhere"], "checkpoint=nowhere is no run and no model folder"),
        (["compare", "runs={tmp}"], "there is no run in that folder"),
        (["verify", "{tmp}"], "no data set of shards"),
        (["config", "list", "nothing"], "there is no group 'nothing'"),
        (["config", "diff", "tiny", "nothing"], "exp=nothing"),
        (["summary", "backbone.layers=x"], "backbone.layers='x'"),
        (["summary", "frames=6"], "4k+1 frames, got 6"),
        (["summary", "width=many"], "width=many: give a whole number"),
        (["config", "validate", "stages.restorer.frames=8"], "4k+1 frames, got 8"),
        (["config", "validate", "prior.temporal.extractor.heads=0"], "parts do not fit together"),
        (["config", "validate", "autoencoder.spatial_stride=0"], "parts do not fit together"),
        (["config", "validate", "stages.codebook.module.learning_rate=-1"], "learning_rate must be above 0"),
        (["summary", "backbone.token_dim=256"], "frames=17 height=512 width=512"),
        (["export", "checkpoint=nowhere/last.ckpt", "output={tmp}/model"], "name the last.ckpt of a stage"),
        (["export", "checkpoint=a", "output=b", "weights=rare"], "did you mean 'raw'"),
        (["train", "fusion=none", "fusion.spatial.width=16"], "unknown key 'fusion.spatial.width'"),
    ],
)
def test_mistakes_end_in_one_sentence_and_exit_code_2(arguments, words, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = dvface([item.replace("{tmp}", str(tmp_path)) for item in arguments], monkeypatch, capsys)
    assert code == 2
    assert words in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    assert not any(path.suffix in (".mp4", ".ckpt", ".safetensors") for path in tmp_path.rglob("*"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs in which the embedded shards are prepared once."""
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["stages.restorer.crop=200"], "a crop of 200 is asked"),
        (["stages.restorer.crop=60"], "needs a multiple of 8"),
        (["stages.restorer.frames=21"], "17 frames, 21 are asked"),
        (["data.workers=9"], "lower data.workers"),
        (["~loss.temporal"], "must have the same names"),
        (["prior/temporal=none"], "choose none for it in the fusion"),
        (
            ["prior/temporal=none", "prior/spatial=none", "fusion=none"],
            "no codebook to learn; say stages/codebook=none",
        ),
        (["stages.prior.module.learning_rate=-1.0"], "learning_rate must be above 0"),
        (["degradation.operators.h264.crf=[50,20]"], "crf"),
        (["stage=prior"], "give start_from=RUN_FOLDER"),
        (["trainer.accelerator=gpu"], "no usable GPU"),
    ],
)
def test_training_that_cannot_work_is_refused_before_a_run_exists(
    changes, words, runs: Path, monkeypatch, capsys
) -> None:
    if "trainer.accelerator=gpu" in changes and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    code, _, err = dvface(["train", f"runs={runs}", *changes], monkeypatch, capsys)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1
    assert {path.name for path in runs.iterdir()} <= {"data"}


def test_an_unwritable_place_is_named(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "file").write_text("no folder")
    code, _, err = dvface(["train", f"runs={tmp_path / 'file'}"], monkeypatch, capsys)
    assert code == 2
    assert str(tmp_path / "file") in err
    assert "Traceback" not in err


def test_summary_counts_the_whole_model(monkeypatch, capsys) -> None:
    code, out, _ = dvface(["summary", "json=true"], monkeypatch, capsys)
    counts = json.loads(out)
    assert code == 0
    assert counts["total_parameters"] == sum(counts["parameters"].values()) > 1e6


def test_config_commands(monkeypatch, capsys) -> None:
    assert ", dvface, dvface_lora, small, tiny\n" in dvface(["config", "list"], monkeypatch, capsys)[1]
    assert "patch" in dvface(["config", "show"], monkeypatch, capsys)[1]
    assert dvface(["config", "validate", "exp=tiny"], monkeypatch, capsys)[:2] == (0, "valid\n")
    changes = dvface(["config", "diff", "tiny", "ablation_no_temporal"], monkeypatch, capsys)[1]
    assert "prior.temporal._target_" in changes
    assert "spatial" not in changes


def test_train_restore_evaluate_compare_from_end_to_end(
    tmp_path: Path, monkeypatch, capsys, carphone: np.ndarray, paired_shards: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    steps = [f"stages.{stage}.steps=2" for stage in ("codebook", "prior", "restorer")]
    cheap = ["~metrics.ids_dlib", "~metrics.stlpips_alex", "~metrics.lpips_alex", "~metrics.ewarp_raft_small"]
    code, out, err = dvface(["train", *SMALLEST, *steps, *cheap, "trainer.log_every=1"], monkeypatch, capsys)
    assert code == 0, err
    run = Path(out.splitlines()[-1].removeprefix("run: "))
    measured = json.loads((run / "metrics.json").read_text())
    assert set(measured["footage"]) == {"held_out", "carphone_distorted"}
    for side in ("input", "identity", "restored"):
        assert {"psnr", "ssim", "ewarp_dis", "frame_difference"} <= set(measured[side])
    assert measured["input"] == measured["identity"]
    clips = measured["clips"]["held_out"]["restored"]
    assert np.mean([clip["psnr"] for clip in clips]) == pytest.approx(measured["restored"]["psnr"])
    assert list(measured["clips_sha256"]["held_out"]) == [clip["name"] for clip in clips]
    assert len(set(measured["clips_sha256"]["held_out"].values())) == len(clips) == 5
    for side in ("input", "restored", "clean"):
        assert read_video(run / f"{side}-{measured['videos']['held_out'][clips[4]['name']]}.mp4").shape[0] == 9
    twin = read_video(run / "side_by_side-carphone_distorted.mp4")
    assert twin.shape[0] == 120
    assert twin.shape[2] >= 3 * 176
    for name in (
        "config.yaml",
        "side_by_side-held_out.png",
        "model/model.safetensors",
        "losses-restorer.png",
        "restored-held_out-1.mp4",
    ):
        assert (run / name).stat().st_size > 0

    old, new = tmp_path / "old (1), video.mp4", tmp_path / "new.mp4"
    write_video(old, carphone[:6], Fraction(30000, 1001))
    code, out, err = dvface(
        ["restore", f"input={old}", f"output={new}", "checkpoint=newest", "mode=aligned"], monkeypatch, capsys
    )
    assert code == 0, err
    assert read_video(new).shape == (6, 144, 176, 3)

    code, out, err = dvface(
        ["evaluate", f"restored={new}", f"reference={old}", "out=report", *cheap], monkeypatch, capsys
    )
    assert code == 0, err
    report = json.loads(Path("report/metrics.json").read_text())
    assert report["clips"][0]["frames"] == 6
    assert report["mean"]["psnr"] > 30
    assert report["networks"]["psnr"] is None

    shared = [f"checkpoint={run}", "metrics=[psnr,ssim]", "out=own", f"runs={run.parents[1]}"]
    code, out, err = dvface(["evaluate", *shared], monkeypatch, capsys)
    assert code == 0, err
    report = json.loads(Path("own/metrics.json").read_text())
    own = {side: report["methods"][side]["mean"]["psnr"] for side in ("restored", "input")}
    assert report["mean"]["psnr"] == own["restored"]
    of_held_out = [clip["psnr"] for clip in report["methods"]["input"]["clips"] if "held_out" in clip["name"]]
    assert np.mean(of_held_out) == pytest.approx(measured["input"]["psnr"], abs=1e-3)
    before = (Path("own") / "metrics.json").read_text()
    code, out, err = dvface(["evaluate", *shared], monkeypatch, capsys)
    assert "are kept" in out
    assert (Path("own") / "metrics.json").read_text() == before
    mine = Path("own/reference/mine.mkv")
    mine.write_bytes(b"precious")
    code, out, err = dvface(["evaluate", *shared], monkeypatch, capsys)
    assert code == 2
    assert "was not written by this command" in err
    assert mine.read_bytes() == b"precious"

    held_out = ["data=paired", f"data.source.held_out={paired_shards}"]  # where the training set lies need not be said
    code, out, err = dvface(
        ["evaluate", f"checkpoint={run}", *held_out, "metrics=[psnr]", "out=shards"], monkeypatch, capsys
    )
    assert code == 0, err
    assert len(json.loads(Path("shards/metrics.json").read_text())["clips"]) == len(read_manifest(paired_shards))

    code, out, err = dvface(["compare"], monkeypatch, capsys)
    assert code == 0, err
    assert "tiny" in out
    assert "psnr" in out
    assert {path.suffix for path in Path("comparison").iterdir()} == {".md", ".csv", ".tex", ".html"}

    code, _, err = dvface(["train", f"resume={run}"], monkeypatch, capsys)
    assert code == 2
    assert "finished" in err


def test_the_default_experiment_is_tiny() -> None:
    assert resolve(load("train"))["exp"] == "tiny"
