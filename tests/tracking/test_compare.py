from datetime import UTC, datetime, timedelta

import pytest

from dvface.tracking.compare import better_side, comparison_table, write_comparison
from dvface.tracking.store import RunSummary

START = datetime(2026, 3, 1, 9, 5, tzinfo=UTC)


def run(name: str, metrics: dict[str, float], status: str = "FINISHED", **tags: str) -> RunSummary:
    end = START + timedelta(minutes=3, seconds=7)
    return RunSummary(name, name, "study", status, START, end, tags, {}, metrics)


RUNS = [
    run(
        "full",
        {
            "total_parameters": 2_345_678.0,
            "final/held_out/restored/psnr": 30.0,
            "final/held_out/input/psnr": 28.5,
            "final/held_out/restored/stlpips_alex": 0.1,
            "final/held_out/input/stlpips_alex": 0.3,
            "final/carphone_distorted/restored/psnr": 27.0,
        },
        exp="tiny",
    ),
    run("no_temporal", {"final/held_out/restored/psnr": 29.0, "final/held_out/restored/stlpips_alex": 0.2}),
    run("broken", {"final/held_out/restored/psnr": 99.0}, status="FAILED"),
]


def test_one_row_per_finished_run_with_restored_against_input():
    assert comparison_table(RUNS).markdown() == (
        "| run | experiment | date (UTC) | parameters (M) | time | psnr ↑ | stlpips_alex ↓ |\n"
        "| --- | --- | --- | ---: | --- | ---: | ---: |\n"
        "| full | tiny | 2026-03-01 09:05 | 2.35 | 03:07 | **30.00 (+1.50)** | **0.1000 (-0.2000)** |\n"
        "| no_temporal | study | 2026-03-01 09:05 | – | 03:07 | <u>29.00</u> | <u>0.2000</u> |\n"
    )


def test_measures_and_footage_can_be_chosen():
    chosen = comparison_table(RUNS, ["ids_dlib", "psnr"], footage="carphone_distorted")
    assert [column.name for column in chosen.columns[-2:]] == ["ids_dlib", "psnr"]
    assert [row[-2:] for row in chosen.rows] == [(None, 27.0), (None, None)]


@pytest.mark.parametrize(
    ("measure", "better"),
    [
        ("psnr", "higher"),
        ("ssim", "higher"),
        ("ids_dlib", "higher"),
        ("stlpips_alex", "lower"),
        ("ewarp_dis", "lower"),
        ("frame_difference", "lower"),
        ("dists", "lower"),
        ("tlpips_alex", "lower"),
        ("brightness", "neither"),
    ],
)
def test_which_values_are_better(measure, better):
    assert better_side(measure) == better


def test_a_comparison_is_written_in_four_forms(tmp_path):
    table = comparison_table(RUNS)
    write_comparison(table, tmp_path / "study")
    texts = {path.suffix: path.read_text(encoding="utf-8") for path in (tmp_path / "study").iterdir()}
    assert texts[".md"] == table.markdown()
    assert texts[".csv"] == table.csv()
    assert texts[".tex"] == table.latex()
    assert '<td class="number best">30.00 (+1.50)</td>' in texts[".html"]
    assert set(texts) == {".md", ".csv", ".tex", ".html"}
