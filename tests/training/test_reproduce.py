import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tests.training.runs import Runs

from dvface.cli.runs import chosen_run
from dvface.errors import UserError
from dvface.tracking.provenance import PROVENANCE, read_provenance, write_provenance
from dvface.tracking.store import SqliteStore
from dvface.training.reproduce import reproduce
from dvface.training.run_folder import RunFolder

WHOLE = (  # the last stage alone, so that there are final numbers
    "stage=restorer",
    "stages.codebook.steps=0",
    "stages.prior.steps=0",
    "stages.restorer.steps=2",
    "metrics=[psnr]",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, paired_shards: Path, empty_store: Path) -> RunFolder:
    """A whole run that MLflow knows, made from relative paths."""
    root = tmp_path_factory.mktemp("runs")
    (root / "tracked").mkdir()
    shutil.copy(empty_store, root / "tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return Runs(Path("tracked"), paired_shards).train(*WHOLE, "name=one", "logger=mlflow")


def said_of(folder: Path, again: str | None = None) -> tuple[bool, list[str]]:
    said: list[str] = []
    return reproduce(folder, said.append, again), said


def test_from_any_place_the_words_give_the_stored_configuration(finished: RunFolder, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    same, said = said_of(finished.path)
    assert same
    assert said[0].startswith(f"cd {finished.path.parents[2]} && dvface train ")
    assert "runs=tracked" in said[0]
    assert said[1] == "configuration: identical"


def test_each_key_that_differs_is_named(finished: RunFolder, tmp_path: Path) -> None:
    record = read_provenance(finished.path)
    assert record is not None
    write_provenance(tmp_path, replace(record, commit="abc"))
    tree = OmegaConf.load(finished.config)
    tree.stages.restorer.steps = 3
    tree.seed = 5
    OmegaConf.save(tree, tmp_path / "config.yaml")
    same, said = said_of(tmp_path)
    assert not same
    assert "configuration: seed: 5 -> 0" in said
    assert "configuration: stages.restorer.steps: 3 -> 2" in said
    assert said[-1] == "configuration: 2 keys differ; check out commit abc"
    write_provenance(tmp_path, replace(record, command=["fusion=gone"]))
    same, said = said_of(tmp_path)
    assert not same
    assert "refused now (fusion=gone" in said[-1]


def test_what_changed_since_is_said(finished: RunFolder, tmp_path: Path) -> None:
    record = read_provenance(finished.path)
    assert record is not None
    OmegaConf.save(OmegaConf.load(finished.config), tmp_path / "config.yaml")
    manifests = {**record.manifests, "train": "0" * 64}
    write_provenance(tmp_path, replace(record, dirty=True, manifests=manifests))
    same, said = said_of(tmp_path)
    assert same  # the configuration is what is checked
    assert f"differs: manifest.train: {'0' * 64} -> {record.manifests['train']}" in said
    assert any("differed from commit" in line for line in said)


def test_made_again_it_gives_the_same_numbers(finished: RunFolder, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    same, said = said_of(finished.path, "two")
    assert same, said
    count = len(json.loads(finished.metrics.read_text())["footage"]["held_out"])  # sides, of one measure each
    assert said[-1] == f"numbers: {count} of {count} identical"
    assert (finished.path.parent / "two" / "metrics.json").is_file()
    numbers = json.loads(finished.metrics.read_text())
    numbers["footage"]["held_out"]["restored"]["psnr"] += 1
    for name in (PROVENANCE, "config.yaml"):
        (tmp_path / name).write_text((finished.path / name).read_text())
    (tmp_path / "metrics.json").write_text(json.dumps(numbers))
    same, said = said_of(tmp_path, "two")  # finished before: only compared
    assert not same
    assert said[-1] == f"numbers: {count - 1} of {count} identical"
    assert "held_out/restored/psnr" in said[-2]


def test_a_run_is_found_by_folder_name_and_id(finished: RunFolder, tmp_path: Path) -> None:
    runs = finished.path.parents[1]
    tracked = json.loads(finished.state.read_text())["tracking_run"]
    assert chosen_run(str(finished.path), tmp_path) == finished.path
    assert {chosen_run(word, runs) for word in (tracked, "tiny one", "one")} == {finished.path}
    with pytest.raises(UserError, match=r"no run in .* has that name or id; did you mean 'tiny one'"):
        chosen_run("tiny on", runs)
    with pytest.raises(UserError, match="no tracking store"):
        chosen_run("one", tmp_path)
    away = finished.path.rename(tmp_path / "moved")
    try:
        artifacts = chosen_run("one", runs)
        assert artifacts == runs / "mlartifacts" / tracked / "artifacts"
        assert said_of(artifacts)[0]
    finally:
        away.rename(finished.path)


def test_a_run_without_its_words_is_refused(finished: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(finished.config.read_text())
    with pytest.raises(UserError, match="before dvface kept the words"):
        said_of(tmp_path)


def test_mlflow_s_page_describes_the_run_and_compares_only_what_can_differ(finished: RunFolder) -> None:
    (tracked,) = [run for run in SqliteStore(finished.path.parents[1]).runs() if run.name == "tiny one"]
    about, _, measures = tracked.tags["mlflow.note.content"].partition("## Final measures")
    assert about.startswith("exp=tiny\n\n    dvface train ")
    assert "| held_out | restored |" in measures
    assert tracked.params["seed"] == "0"
    assert not {"name", "runs", "ablates"} & tracked.params.keys()
