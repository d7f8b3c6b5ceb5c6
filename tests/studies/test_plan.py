"""Experiments of a study held against each other before anything runs."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from tests.studies.files import write_study

from dvface.config.compose import load
from dvface.errors import UserError
from dvface.studies.plan import StudyPlan, experiments, plan_study
from dvface.studies.study import read_study
from dvface.sweeps.plan import Plan


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def planned(**changes: Any) -> StudyPlan:
    write_study("mine", **{"seeds": [0], **changes})
    mine = read_study("mine")
    words = {label: found for label, found in experiments(mine, []).items() if not isinstance(found, str)}
    return plan_study(mine, Path("runs"), words)


def test_changes_are_told_in_the_words_of_the_command_line() -> None:
    words = {"plain": "exp=tiny", "other": "exp=tiny fusion=symmetric", "third": "exp=tiny size.entries=8"}
    assert planned(experiments=words).changes == {
        "plain": (),
        "other": ("fusion: asymmetric -> symmetric",),
        "third": ("size.entries: 64 -> 8",),
    }


@pytest.mark.parametrize(
    "word",
    ["stages.restorer.batch_size=9", "stages.prior.frames=13", "stages.codebook.crop=48", "trainer.accumulate=2"],
)
def test_an_experiment_that_sees_more_than_the_baseline_is_refused(word: str) -> None:
    with pytest.raises(UserError, match=f"budgets are not equal: {word.partition('=')[0]} is .* in other and .*"):
        planned(experiments={"plain": "exp=tiny", "other": f"exp=tiny {word}"})


def test_what_only_some_experiments_train_must_be_equal_among_them() -> None:
    later = "exp=tiny stages/restorer_latent=latent"
    words = {"plain": "exp=tiny", "other": later, "third": f"{later} stages.restorer_latent.batch_size=9"}
    with pytest.raises(UserError, match=r"stages\.restorer_latent\.batch_size is 9 in third"):
        planned(experiments=words, budget={"codebook": 2, "prior": 3, "restorer_latent": 1, "restorer": 4})


def test_a_budget_for_a_stage_that_nobody_trains_is_refused() -> None:
    with pytest.raises(UserError, match=r"budget\.autoencoder: no experiment trains that stage"):
        planned(budget={"autoencoder": 1, "codebook": 2, "prior": 3, "restorer": 4})


def test_a_measure_that_the_runs_do_not_take_is_refused() -> None:
    with pytest.raises(UserError, match="plain does not take 'psrn'; did you mean 'psnr'"):
        planned(measures=["psrn"])


def test_a_folder_that_holds_another_run_is_a_mistake_and_one_that_holds_the_same_is_begun(tmp_path: Path) -> None:
    found = planned()
    plan = found.jobs["plain-seed0"]
    assert isinstance(plan, Plan)
    assert plan.begun is None
    tree = load("train", found.runs[0].words)
    tree.runs = str(tmp_path / "runs")
    found.runs[0].folder.mkdir(parents=True)
    (found.runs[0].folder / "config.yaml").write_text(OmegaConf.to_yaml(tree))
    (found.runs[0].folder / "run.json").write_text('{"finished": false, "seconds": 9, "source": "x"}')
    again = planned().jobs["plain-seed0"]
    assert isinstance(again, Plan)
    assert again.begun is not None
    assert (again.begun.finished, again.begun.seconds, again.begun.changed) == (False, 9.0, ())
    other = planned(budget={"codebook": 2, "prior": 3, "restorer": 5}).jobs
    assert "was begun with other settings (stages.restorer.steps)" in str(other["plain-seed0"])
    assert isinstance(other["other-seed0"], Plan)
