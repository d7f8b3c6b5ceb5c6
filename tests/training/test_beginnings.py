"""The four ways in which a run begins with what another left, each by `dvface.training.run.train`."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.training.curves import timeless_curves
from tests.training.runs import STEPS, Runs

from dvface.data.shards import Clip, write_shards
from dvface.errors import UserError
from dvface.training.run import resume_run
from dvface.training.run_folder import RunFolder, read_checkpoint


@pytest.fixture
def runs(tmp_path: Path, paired_shards: Path) -> Runs:
    return Runs(tmp_path / "runs", paired_shards)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, paired_shards: Path) -> RunFolder:
    return Runs(tmp_path_factory.mktemp("finished"), paired_shards).train("name=whole")


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, paired_shards: Path) -> tuple[Runs, RunFolder]:
    """A run called "mine" that ended after its third step, to be read only, and the runs beside it."""
    runs = Runs(tmp_path_factory.mktemp("interrupted"), paired_shards)
    with pytest.MonkeyPatch.context() as patch:
        return runs, runs.cut(patch, "name=mine")


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(folder.weights("codebook"))


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def losses(folder: RunFolder) -> dict[str, list[tuple[int, float]]]:
    return timeless_curves(folder, "codebook")


class TestResume:
    def test_the_same_words_go_on_and_end_as_if_nothing_had_happened(
        self, runs: Runs, finished: RunFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cut = runs.cut(monkeypatch)
        assert runs.train().path == cut.path
        assert any(f"going on with {cut.path}" in line for line in runs.said)
        assert same(weights(cut), weights(finished))
        assert losses(cut) == losses(finished)

    def test_by_its_folder(self, runs: Runs, finished: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        cut = runs.cut(monkeypatch)
        resume_run(cut.path, runs.said.append)
        assert same(weights(cut), weights(finished))

    def test_by_its_name_and_a_finished_one_is_left_alone(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        cut = runs.cut(monkeypatch, "name=mine")
        assert cut.path.name == "mine"
        assert runs.train("name=mine").path == cut.path
        written = cut.weights("codebook").stat().st_mtime_ns
        assert runs.train("name=mine").path == cut.path
        assert runs.said[-1] == f"finished before: {cut.path}"
        assert cut.weights("codebook").stat().st_mtime_ns == written

    def test_a_name_of_another_configuration_is_refused(self, interrupted: tuple[Runs, RunFolder]) -> None:
        runs, _ = interrupted
        with pytest.raises(UserError, match=r"name=mine: .* other settings \(seed: 0 -> 1\); give another name"):
            runs.train("name=mine", "seed=1")

    def test_other_words_begin_another_run(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        cut = runs.cut(monkeypatch)
        assert runs.train("seed=1").path != cut.path

    def test_other_code_begins_another_run_and_resume_says_so(
        self, runs: Runs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cut = runs.cut(monkeypatch)
        state = json.loads(cut.state.read_text())
        cut.state.write_text(json.dumps(state | {"source": "0" * 64}))
        assert runs.train().path != cut.path
        resume_run(cut.path, runs.said.append)
        assert any("the code is not what this run was started with" in line for line in runs.said)

    def test_a_finished_run_and_no_run_are_refused(self, runs: Runs, finished: RunFolder, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"that run is finished; to train on, say fork="):
            resume_run(finished.path, runs.said.append)
        with pytest.raises(UserError, match="is no run folder"):
            resume_run(tmp_path, runs.said.append)

    def test_a_run_in_the_hands_of_another_process_is_refused(
        self, interrupted: tuple[Runs, RunFolder], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dvface.training import run_folder

        monkeypatch.setattr(run_folder, "PATIENCE", 0.1)
        runs, cut = interrupted
        with run_folder.held(cut), pytest.raises(UserError, match="in the hands of another process"):
            resume_run(cut.path, runs.said.append)

    def test_other_clips_are_refused(self, runs: Runs, monkeypatch: pytest.MonkeyPatch, carphone) -> None:
        runs.cut(monkeypatch, "name=mine")
        clips = [
            Clip(f"clip-{n}", carphone[n : n + 9, 40:88, 60:124], 25, carphone[n : n + 9, 40:88, 60:124])
            for n in range(6)
        ]
        runs.shards = runs.root / "other"
        write_shards(runs.shards, clips, clips_per_shard=2)
        folder = RunFolder(runs.root / "tiny" / "mine")
        text = folder.config.read_text()
        for line in {line.strip() for line in text.splitlines() if line.strip().startswith("train: /")}:
            text = text.replace(line, f"train: {runs.shards}")
        folder.config.write_text(text)
        with pytest.raises(UserError, match="the training clips are others than when the checkpoint was written"):
            resume_run(folder.path, runs.said.append)


class TestFork:
    def test_it_goes_on_under_other_settings_in_a_folder_of_its_own(
        self, runs: Runs, finished: RunFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()}
        fork = runs.train(f"fork={finished.path}", f"stages.codebook.steps={STEPS + 3}")
        steps = [step for step, _ in losses(fork)["train/loss"]]
        assert steps == list(range(STEPS + 3))
        assert losses(fork)["train/loss"][:STEPS] == losses(finished)["train/loss"]
        assert any("codebook goes on at step 4" in line for line in runs.said)
        assert before == {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()}

    def test_a_changed_learning_rate_counts(self, runs: Runs, interrupted: tuple[Runs, RunFolder]) -> None:
        _, cut = interrupted
        before = read_checkpoint(cut.checkpoint("codebook"))
        still = runs.train(f"fork={cut.path}", "stages.codebook.module.learning_rate=1e-12")
        for name, value in weights(still).items():
            if ".encoder." in name:
                assert torch.allclose(value, before["state_dict"][f"model.{name}"], atol=1e-7), name

    def test_optimiser_and_data_go_on_too(
        self, runs: Runs, finished: RunFolder, interrupted: tuple[Runs, RunFolder]
    ) -> None:
        # Forked under the same settings, a cut run ends like the one that was not cut.
        _, cut = interrupted
        assert same(weights(runs.train(f"fork={cut.path}")), weights(finished))

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ([], r"all its stages are finished, nothing is left to train; raise stages\.codebook\.steps"),
            (["stages.codebook.steps=3"], r"has done 4 steps, stages\.codebook\.steps=3 asks fewer"),
            (["stages.codebook.steps=9", "size.entries=8"], r"does not fit: its .* weights_only="),
            (["stages.codebook.steps=9", "trainer.accumulate=2"], r"trainer\.accumulate is 2 and was 1"),
            (["stages.codebook.steps=9", "data.buffer=3"], r"data\.buffer is 3 and was 2"),
            (["stages.codebook.steps=9", "seed=1"], "the seed is another"),
        ],
    )
    def test_what_does_not_fit_is_refused_before_a_folder_exists(
        self, runs: Runs, finished: RunFolder, changes: list[str], words: str
    ) -> None:
        with pytest.raises(UserError, match=words):
            runs.train(f"fork={finished.path}", *changes)
        assert not list(runs.root.glob("*/*"))

    def test_another_place_in_the_data_is_refused(self, runs: Runs, finished: RunFolder) -> None:
        changes = ["stages.codebook.steps=9", "stages.codebook.batch_size=3"]
        with pytest.raises(
            UserError, match=r"batch_size is 3 and was 2 when the checkpoint was written, .* warm_start="
        ):
            runs.train(f"fork={finished.path}", *changes)
        assert not list(runs.root.glob("*/*"))


class TestWarmStart:
    def test_all_weights_come_along_and_all_else_begins_anew(self, runs: Runs, finished: RunFolder) -> None:
        warm = runs.train(
            f"warm_start={finished.path}", "stages.codebook.steps=1", "stages.codebook.module.learning_rate=1e-9"
        )
        frozen = {name for name in weights(finished) if not name.startswith("prior.")}
        assert all(torch.equal(weights(warm)[name], weights(finished)[name]) for name in frozen)
        moved = [(weights(warm)[n] - weights(finished)[n]).abs().max() for n in weights(warm) if ".encoder." in n]
        assert max(moved) < 1e-6
        assert [step for step, _ in losses(warm)["train/loss"]] == [0]
        assert any("warm start: all" in line for line in runs.said)

    def test_a_model_that_is_not_the_same_is_refused(self, runs: Runs, finished: RunFolder, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"warm_start=.*: its .* is \(.*\), .* is asked; .* weights_only="):
            runs.train(f"warm_start={finished.path}", "size.entries=8")
        with pytest.raises(UserError, match="is no run folder"):
            runs.train(f"warm_start={tmp_path}")
        assert not list(runs.root.glob("*/*"))

    def test_it_goes_on_without_the_run_that_it_began_with(
        self, runs: Runs, finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = tmp_path / "source"
        shutil.copytree(finished.path, source)
        cut = runs.cut(monkeypatch, f"warm_start={source}")
        shutil.rmtree(source)
        resume_run(cut.path, runs.said.append)
        assert cut.weights("codebook").is_file()

    def test_of_an_unfinished_run_too(self, runs: Runs, interrupted: tuple[Runs, RunFolder]) -> None:
        _, cut = interrupted
        runs.train(f"warm_start={cut.path}", "stages.codebook.steps=1")


class TestWeightsOnly:
    def test_what_fits_is_taken_and_told(self, runs: Runs, finished: RunFolder) -> None:
        only = runs.train(f"weights_only={finished.path}", "size.entries=8", "stages.codebook.steps=1")
        told = next(line for line in runs.said if line.startswith("weights only:"))
        assert "10 (prior.spatial.predictor.head" in told
        assert told.endswith("begin anew")
        frozen = {name for name in weights(finished) if name.startswith(("backbone.", "refinement."))}
        shared = [name for name in frozen if weights(only)[name].shape == weights(finished)[name].shape]
        assert shared
        assert all(torch.equal(weights(only)[name], weights(finished)[name]) for name in shared)

    def test_from_a_file(self, runs: Runs, finished: RunFolder) -> None:
        runs.train(f"weights_only={finished.weights('codebook')}", "stages.codebook.steps=1")
        assert any("0 (" not in line and "none begin anew" in line for line in runs.said)

    def test_nothing_that_fits_is_refused(self, runs: Runs, tmp_path: Path) -> None:
        from safetensors.torch import save_file

        save_file({"something": torch.zeros(3)}, tmp_path / "other.safetensors")
        with pytest.raises(UserError, match="none of its 1 tensors fits this model"):
            runs.train(f"weights_only={tmp_path / 'other.safetensors'}")
        with pytest.raises(UserError, match=r"no run, no model folder and no \.safetensors file"):
            runs.train(f"weights_only={tmp_path / 'nowhere'}")
        assert not list(runs.root.glob("*/*"))


def test_one_batch_again_and_again_stays_that_batch_after_a_resume(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = runs.train("trainer.overfit=true", "name=whole")
    cut = runs.cut(monkeypatch, "trainer.overfit=true")
    runs.train("trainer.overfit=true")
    assert losses(cut) == losses(whole)


def test_a_folder_that_is_no_run_is_left_alone(runs: Runs) -> None:
    (runs.root / "tiny" / "mine" / "stages").mkdir(parents=True)
    with pytest.raises(UserError, match="holds stages and is no run"):
        runs.train("name=mine")


def test_a_number_is_a_name_too(runs: Runs) -> None:
    assert runs.train("name=7", "stages.codebook.steps=1").path.name == "7"


def test_a_run_begins_in_one_way(runs: Runs, finished: RunFolder) -> None:
    with pytest.raises(UserError, match="fork and warm_start are both given"):
        runs.train(f"fork={finished.path}", f"warm_start={finished.path}")
