from pathlib import Path

from dvface.report.tables import Column, Table
from dvface.tracking.note import final_note, first_note
from dvface.tracking.store import SqliteStore


def measured(value: float) -> Table:
    return Table([Column("side"), Column("psnr", form=".1f")], [["restored", value]])


def test_a_note_says_what_the_run_is_how_it_differs_and_what_came_of_it() -> None:
    begun = first_note("ablation", "dvface train exp=ablation", ["fusion: asymmetric -> none"])
    assert begun == (
        "exp=ablation\n\n    dvface train exp=ablation\n\n## Against its baseline\n\n- `fusion: asymmetric -> none`\n"
    )
    assert "baseline" not in first_note("tiny", "dvface train", [])
    ended = final_note(begun, measured(30.0))
    assert ended.startswith(begun)
    assert "| restored | 30.0 |" in ended
    assert final_note(ended, measured(31.0)) == final_note(begun, measured(31.0))


def test_a_run_with_a_parent_is_in_the_parent_s_experiment(tmp_path: Path, empty_store: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    store = SqliteStore(tmp_path)
    with store.start_run("fusion", "parent", {}) as parent, store.start_run("other", "child", {}, parent.id):
        pass
    assert {run.name: run.experiment for run in store.runs()} == {"parent": "fusion", "child": "fusion"}
