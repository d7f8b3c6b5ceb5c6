import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from dvface.cli.leaderboard import leaderboard
from dvface.errors import UserError
from dvface.files import write_json
from dvface.models.model_folder import FOLDER, SMALL
from dvface.tracking.leaderboard import add, markdown, read
from dvface.tracking.provenance import Provenance, write_provenance

BOARD = Path(__file__).parents[2] / "experiments" / "leaderboard.csv"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def record(**changes: object) -> Provenance:
    manifests = {"train": "t", "held_out": "aa11", "twin": "bb22"}
    made = Provenance(
        COMMIT, False, "s", {}, {}, manifests, 3, ["exp=tiny", "name=my one"], "/d", "2026-11-29T10:20:30+00:00"
    )
    return replace(made, **changes)


def finished(folder: Path, psnr: float, made: Provenance | None = None) -> Path:
    """What a finished run leaves, of what the board reads."""
    sides = {"input": {"psnr": 20.0, "ewarp": 0.5}, "restored": {"psnr": psnr, "ewarp": 0.25}}
    folder.mkdir(parents=True)
    write_json(
        folder / "metrics.json",
        {
            "footage": {"held_out": sides, "twin": {"input": {"psnr": 19.0}, "restored": {"psnr": 18.0}}},
            "parameters": {"total": 2_500_000},
            "seconds": 187.4,
        },
    )
    (folder / "config.yaml").write_text("exp: tiny\nmodel: {}\n")
    write_provenance(folder, made or record())
    return folder


@pytest.fixture
def board(tmp_path: Path) -> Path:
    return tmp_path / "board.csv"


def rows(board: Path) -> list[dict[str, str]]:
    with open(board, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_markdown_of_this_repository_is_what_its_csv_gives() -> None:
    assert BOARD.with_suffix(".md").read_text(encoding="utf-8") == markdown(read(BOARD))


def test_a_run_s_row_says_all_that_is_needed_to_make_it_again(tmp_path: Path, board: Path) -> None:
    leaderboard([f"run={finished(tmp_path / 'tiny' / 'one', 25.5)}", f"file={board}"])
    first, twin = rows(board)
    assert first == {
        "footage": "held_out",
        "manifest": "aa11",
        "date": "2026-11-29T10:20:30+00:00",
        "commit": COMMIT,
        "dirty": "false",
        "run": "tiny/one",
        "experiment": "tiny",
        "seed": "3",
        "parameters": "2500000",
        "seconds": "187.4",
        "command": "dvface train exp=tiny 'name=my one'",
        "psnr": "25.5",
        "psnr (input)": "20",
        "ewarp": "0.25",
        "ewarp (input)": "0.5",
    }
    assert (twin["footage"], twin["manifest"], twin["psnr"], twin["ewarp"]) == ("twin", "bb22", "18", "")
    text = board.with_suffix(".md").read_text(encoding="utf-8")
    assert text == markdown(read(board))
    assert "## held_out, manifest `aa11`\n" in text
    assert (
        "| tiny/one | tiny | 3 | 2026-11-29T10:20 | 0123456789ab | 2.50 | 03:07 | 25.50 (+5.50) | 0.2500 (-0.2500) |"
    ) in text


def test_the_same_run_replaces_its_row_and_another_of_its_name_does_not(tmp_path: Path, board: Path) -> None:
    one = finished(tmp_path / "tiny" / "one", 25.5)
    for _ in range(2):
        leaderboard([f"run={one}", f"file={board}"])
    before = board.read_bytes()
    assert len(rows(board)) == 2
    leaderboard([f"run={one}", f"file={board}"])
    assert board.read_bytes() == before
    write_provenance(one, record(started="2026-12-01T00:00:00+00:00"))
    leaderboard([f"run={one}", f"file={board}"])
    assert len(rows(board)) == 4


def test_the_best_comes_first_and_only_within_the_same_footage(tmp_path: Path, board: Path) -> None:
    for name, psnr, manifest in (("a", 24.0, "aa11"), ("b", 26.0, "aa11"), ("c", 99.0, "cc33")):
        made = record(manifests={"held_out": manifest, "twin": "bb22"})
        leaderboard([f"run={finished(tmp_path / 'tiny' / name, psnr, made)}", f"file={board}"])
    held_out = [(row["run"], row["manifest"]) for row in rows(board) if row["footage"] == "held_out"]
    assert held_out == [("tiny/b", "aa11"), ("tiny/a", "aa11"), ("tiny/c", "cc33")]
    same, other = board.with_suffix(".md").read_text(encoding="utf-8").split("## ")[1:3]
    assert "**26.00 (+6.00)**" in same
    assert "99.00" not in same
    assert "99.00" in other
    assert "**" not in other  # alone on its footage it is better than nothing


def test_code_that_is_no_commit_s_is_refused_unless_said(tmp_path: Path, board: Path) -> None:
    drifted = [{"at": "later", "drift": ["source_sha256: a -> b"]}]
    for number, (changes, words) in enumerate(
        [
            ({"dirty": True}, f"changed since commit {COMMIT}"),
            ({"dirty": None}, "not made from a git checkout"),
            ({"resumed": drifted}, "went on under other code"),
        ]
    ):
        folder = finished(tmp_path / "tiny" / str(number), 25.0, record(**changes))
        with pytest.raises(UserError, match=words):
            leaderboard([f"run={folder}", f"file={board}"])
        assert len(read(board)) == 2 * number
        leaderboard([f"run={folder}", f"file={board}", "dirty=true"])
    assert {row["dirty"] for row in rows(board)} == {"true", "unknown"}
    assert "0123456789ab, changed" in board.with_suffix(".md").read_text(encoding="utf-8")


def test_an_evaluation_of_a_checkpoint_counts_its_network(tmp_path: Path, board: Path) -> None:
    made = record(program="evaluate", command=["checkpoint=small"], model=str(FOLDER / SMALL))
    write_provenance(tmp_path, replace(made, manifests={"held_out": "aa11"}))
    means = {name: {"mean": {"psnr": value}} for name, value in {"restored": 27.0, "input": 24.0}.items()}
    write_json(tmp_path / "metrics.json", {"methods": means})
    leaderboard([f"evaluation={tmp_path}", f"file={board}"])
    (row,) = rows(board)
    assert (row["run"], row["experiment"], row["psnr"], row["seconds"]) == ("evaluation of small", SMALL, "27", "")
    assert row["command"] == "dvface evaluate checkpoint=small"
    shapes = json.loads((FOLDER / SMALL / "model.safetensors").read_bytes()[8:][: _header(FOLDER / SMALL)])
    total = sum(_size(one["shape"]) for name, one in shapes.items() if name != "__metadata__")
    assert 0.9 * total < int(row["parameters"]) <= total  # the file has codebooks' running sums, too


def _header(model: Path) -> int:
    return int.from_bytes((model / "model.safetensors").read_bytes()[:8], "little")


def _size(shape: list[int]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


def test_mistakes_are_named(tmp_path: Path, board: Path) -> None:
    folder = finished(tmp_path / "tiny" / "one", 25.0)
    with pytest.raises(UserError, match="no evaluation of a checkpoint"):
        leaderboard([f"evaluation={folder}", f"file={board}"])
    (folder / "metrics.json").unlink()
    with pytest.raises(UserError, match="no final numbers"):
        leaderboard([f"run={folder}", f"file={board}"])
    (folder / "provenance.json").unlink()
    with pytest.raises(UserError, match="has no provenance"):
        leaderboard([f"run={folder}", f"file={board}"])
    with pytest.raises(UserError, match="both given"):
        leaderboard(["run=a", "evaluation=b"])
    board.write_text("run,psnr\na,1\n")
    with pytest.raises(UserError, match="is no leaderboard"):
        add(board, [])
