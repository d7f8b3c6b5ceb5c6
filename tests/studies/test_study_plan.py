"""Experiments of a study held against each other before anything runs."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from tests.config.experiments import composed
from tests.studies.files import write_study

from dvface.config.compose import load
from dvface.errors import UserError
from dvface.studies.plan import StudyPlan, check_budgets, check_measures, experiments, plan_study
from dvface.studies.study import Study, read_study
from dvface.sweeps.plan import Plan


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def planned(**changes: Any) -> StudyPlan:
    write_study("mine", **{"seeds": [0], **changes})
    found = read_study("mine")
    words = {label: each for label, each in experiments(found, []).items() if not isinstance(each, str)}
    return plan_study(found, Path("runs"), words)


def test_changes_are_told_in_the_words_of_the_command_line() -> None:
    words = {"plain": "exp=tiny", "other": "exp=tiny fusion=symmetric size.entries=8"}
    other = ("fusion: asymmetric -> symmetric", "size.entries: 64 -> 8")
    assert planned(experiments=words).changes == {"plain": (), "other": other}


def trees(**changed: dict[str, Any]) -> dict[str, DictConfig]:
    """The default for each experiment, with other values at some keys."""
    found = {label: composed("tiny") for label in changed}
    for label, values in changed.items():
        for key, value in values.items():
            OmegaConf.update(found[label], key, value)
    return found


def mine(**changes: Any) -> Study:
    write_study("mine", **changes)
    return read_study("mine")


@pytest.mark.parametrize(
    "key",
    ["stages.restorer.batch_size", "stages.prior.frames", "stages.codebook.crop", "trainer.accumulate"],
)
def test_an_experiment_that_sees_more_than_the_baseline_is_refused(key: str) -> None:
    check_budgets(mine(), trees(plain={}, other={"loss.weights.temporal": 9.0}))
    with pytest.raises(UserError, match=f"budgets are not equal: {key} is 77 in other and "):
        check_budgets(mine(), trees(plain={}, other={key: 77}))


def test_what_only_some_experiments_train_must_be_equal_among_them() -> None:
    budget = {"codebook": 2, "prior": 3, "restorer_latent": 1, "restorer": 4}
    some = {"stages.restorer_latent.steps": 1}
    check_budgets(mine(budget=budget), trees(plain={}, other=some, third=some))
    more = {**some, "stages.restorer_latent.batch_size": 9}
    with pytest.raises(UserError, match=r"stages\.restorer_latent\.batch_size is 9 in third"):
        check_budgets(mine(budget=budget), trees(plain={}, other=some, third=more))


def test_a_budget_for_a_stage_that_nobody_trains_is_refused() -> None:
    with pytest.raises(UserError, match=r"budget\.restorer_latent: no experiment trains that stage"):
        check_budgets(mine(budget={"codebook": 2, "restorer_latent": 1}), trees(plain={}, other={}))


def test_a_measure_that_the_runs_do_not_take_is_refused() -> None:
    with pytest.raises(UserError, match="plain does not take 'psrn'; did you mean 'psnr'"):
        check_measures(mine(measures=["psrn"]), trees(plain={}))


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
