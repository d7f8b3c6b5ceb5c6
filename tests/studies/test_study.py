"""Study files: what is refused in them, and which runs they mean."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.studies.files import write_study

from dvface.config.compose import difference, load
from dvface.errors import UserError
from dvface.studies.plan import experiments, plan_study
from dvface.studies.study import FILE, experiment_words, read_study, studies, study_runs

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class TestFile:
    def test_words_are_split_at_spaces_and_lists_stay(self) -> None:
        path = write_study("mine", experiments={"plain": "exp=tiny", "other": ["exp=tiny", "fusion=none"]}, hours=1.5)
        found = read_study("mine")
        assert found.folder == path.parent
        assert found.experiments == {"plain": ("exp=tiny",), "other": ("exp=tiny", "fusion=none")}
        assert (found.shared, found.seeds, found.hours) == (("data.workers=0",), (0, 1), 1.5)

    def test_a_study_of_the_working_directory_comes_before_one_of_dvface(self) -> None:
        assert Path("experiments/fusion") != studies()["fusion"]
        write_study("fusion", question="Mine?")
        assert read_study("fusion").question == "Mine?"

    def test_an_unknown_name_is_answered_with_the_nearest(self) -> None:
        with pytest.raises(UserError, match=r"no study 'fusoin'; did you mean 'fusion'\?"):
            read_study("fusoin")

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"quesion": "x"}, "unknown key 'quesion'; did you mean 'question'"),
            ({"question": None}, "question has no value"),
            ({"baseline": "plane"}, "none of the experiments; did you mean 'plain'"),
            ({"experiments": {"plain": "exp=tiny"}}, "experiments"),
            ({"experiments": {"plain": "exp=tiny", "a/b": "exp=tiny"}}, "experiments.a/b"),
            ({"budget": {"restoer": 4}}, "budget.restoer: there is no such stage; did you mean 'restorer'"),
            ({"budget": {"restorer": 0}}, "budget.restorer=0"),
            ({"seeds": [0, 0]}, "given once"),
            ({"seeds": ["0"]}, "seeds.0='0'"),
            ({"measures": []}, "measures"),
            ({"hours": 0}, "hours=0"),
        ],
    )
    def test_a_mistake_is_told_with_its_key(self, changes: dict[str, Any], said: str) -> None:
        write_study("mine", **changes)
        with pytest.raises(UserError, match=r"experiments/mine/study\.yaml: ") as error:
            read_study("mine")
        assert said in str(error.value)

    def test_what_is_no_yaml_is_told(self) -> None:
        write_study("mine").write_text("question: [")
        with pytest.raises(UserError, match="is no YAML"):
            read_study("mine")


class TestRuns:
    def test_seed_by_seed_and_they_differ_in_nothing_but_what_they_name(self) -> None:
        write_study("mine")
        runs = study_runs(read_study("mine"), Path("here"))
        assert [(run.label, run.seed) for run in runs] == [("plain", 0), ("other", 0), ("plain", 1), ("other", 1)]
        assert runs[3].folder == Path("here/studies/mine/other-seed1")
        plain, other, again, _ = (load("train", run.words) for run in runs)
        assert set(difference(plain, again)) == {"seed", "name"}
        assert {key.partition(".")[0] for key in difference(plain, other)} == {"fusion", "name"}
        assert [plain.stages[stage].steps for stage in ("codebook", "prior", "restorer")] == [2, 3, 4]
        assert (plain.seed, plain.runs, plain.study) == (0, "here", {"name": "mine", "variant": "plain"})

    def test_a_stage_that_an_experiment_leaves_out_stays_out(self) -> None:
        write_study("mine", experiments={"plain": "exp=tiny", "other": "exp=tiny stages/prior=none"})
        words = experiment_words(read_study("mine"), "other")
        assert [word for word in words if word.startswith("stages.")] == [
            "stages.codebook.steps=2",
            "stages.restorer.steps=4",
        ]

    def test_a_stage_without_a_budget_is_refused(self) -> None:
        write_study("mine", experiments={"plain": "exp=tiny", "other": "exp=tiny stages/restorer_latent=latent"})
        with pytest.raises(UserError, match="trains the stage restorer_latent, of which the budget says nothing"):
            study_runs(read_study("mine"), Path("here"))

    def test_words_given_for_all_runs_replace_shared_ones_and_never_an_experiment_s(self) -> None:
        write_study("mine")
        mine = read_study("mine")
        assert experiment_words(mine, "plain", ["data.workers=1"])[:2] == ("exp=tiny", "data.workers=1")
        with pytest.raises(UserError, match="fusion is given twice"):
            experiment_words(mine, "other", ["fusion=none"])

    @pytest.mark.parametrize("word", ["seed=3", "name=x", "runs=a", "+study.parent=x", "stage=prior", "fork=runs/a"])
    def test_what_the_study_decides_cannot_be_given(self, word: str) -> None:
        write_study("mine")
        with pytest.raises(UserError, match="is decided by the study"):
            experiment_words(read_study("mine"), "plain", [word])

    def test_steps_are_the_budget_s_alone(self) -> None:
        write_study("mine", shared="stages.prior.steps=9")
        with pytest.raises(UserError, match=r"stages\.prior\.steps: the study's budget"):
            experiment_words(read_study("mine"), "plain")


def test_every_study_goes_into_the_wheel() -> None:
    packed = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    files = [path.relative_to(CHECKOUT).as_posix() for path in CHECKOUT.glob(f"experiments/*/{FILE}")]
    assert files
    assert {path: packed["force-include"].get(path) for path in files} == {path: f"dvface/{path}" for path in files}


@pytest.mark.parametrize("name", ["fusion", "prior", "query_and_pooling", "temporal_loss"])
def test_the_studies_of_dvface_compose_with_equal_budgets_and_each_experiment_changes_something(name: str) -> None:
    mine = read_study(name)
    assert len(mine.seeds) >= 3
    words = experiments(mine, [])
    found = plan_study(mine, Path("runs"), {label: each for label, each in words.items() if not isinstance(each, str)})
    assert [sentence for sentence in found.jobs.values() if isinstance(sentence, str)] == []
    assert [label for label, changes in found.changes.items() if not changes] == [mine.baseline]
