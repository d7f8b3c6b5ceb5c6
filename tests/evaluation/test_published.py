import json
import tomllib
from pathlib import Path

import pytest

from dvface.config.compose import groups
from dvface.errors import UserError
from dvface.evaluation.published import beside_published, folder, published_names, published_table
from dvface.evaluation.results import ClipResult, Measure, SetResult

ROOT = Path(__file__).resolve().parents[2]
SETS = [name for name in published_names() if name != "efficiency"]
HIGHER = {"PSNR", "SSIM", "CLIP-IQA", "MUSIQ", "MANIQA", "LIQE", "DOVER"}


def measured():
    measures = [
        Measure("psnr", "dB", True, None),
        Measure("lpips_vgg", "distance", False, "vgg16.pth"),
        Measure("ewarp", "error", False, "raft-small.pth"),
        Measure("vidd_arcface", "distance", False, "ir_se50.pth"),
    ]
    clip = ClipResult("one", 10, 0, {"psnr": 28.789})
    mean = {"psnr": 28.789, "lpips_vgg": 0.2, "ewarp": 1.2345, "vidd_arcface": 0.4567}
    return SetResult("ours_7", [clip, clip], mean, {"psnr": (28.1, 29.3)}, measures, {"dists": "no file"})


def test_every_table_is_whole_and_says_where_it_is_from():
    assert published_names() == ["efficiency", "generic_vsr", "hdtf", "rfv_lq", "vfhq_test", "voxceleb2"]
    for name in published_names():
        table = published_table(name)
        assert table.name == name
        assert "2604.14560" in table.source
        assert "read from the published images" in table.source
        assert all(len(numbers) == len(table.columns) for numbers in table.rows.values())
        assert all(column.certainty in ("confirmed", "inferred", "unknown") for column in table.columns)
        assert all((column.better == "higher") == (column.published in HIGHER) for column in table.columns)


@pytest.mark.parametrize(
    ("name", "method", "published", "number"),
    [
        ("vfhq_test", "DVFace", "PSNR", 31.81),
        ("vfhq_test", "PGTFormer", "NIQE", 4.97),
        ("hdtf", "DicFace", "E*warp", 0.47),
        ("rfv_lq", "AverNet", "E*warp", 0.69),
        ("voxceleb2", "SVFR", "MANIQA", 0.3955),
        ("generic_vsr", "DOVE", "FVD", 49.58),
        ("efficiency", "DVFace", "parameters (M)", 1624.55),
    ],
)
def test_numbers_stand_under_their_headings(name, method, published, number):
    table = published_table(name)
    place = [column.published for column in table.columns].index(published)
    assert table.rows[method][place] == number


def test_dvface_leads_where_the_paper_prints_it_bold():
    lead = {name: {} for name in ("vfhq_test", "hdtf")}
    for name, found in lead.items():
        table = published_table(name).table()
        for index, column in enumerate(table.columns):
            best = [row[0].text for row in table.shown() if row[index].mark.value == "best"]
            found[column.name] = best
    assert {name for name, best in lead["vfhq_test"].items() if "DVFace" not in best} == {"method", "NIQE"}
    others = {"method", "SSIM", "DISTS", "NIQE", "E*warp"}
    assert {name for name, best in lead["hdtf"].items() if "DVFace" not in best} == others


def test_the_generic_table_repeats_the_row_of_the_main_one():
    one, other = published_table("vfhq_test"), published_table("generic_vsr")
    places = [[column.published for column in one.columns].index(column.published) for column in other.columns]
    assert other.rows["DVFace"] == tuple(one.rows["DVFace"][place] for place in places)


def test_our_numbers_stand_only_in_columns_of_the_same_definition():
    table = beside_published([measured()], "vfhq_test")
    names = [column.name for column in table.columns]
    published, ours = table.shown()[6], table.shown()[-1]
    assert [cell.text for cell in published[:3]] == ["DVFace", "published", "31.81"]
    shown = {name: cell.text for name, cell in zip(names, ours, strict=True)}
    assert shown.pop("method") == "ours_7"
    assert shown.pop("numbers") == "measured"
    assert shown.pop("PSNR") == "28.79 [28.10, 29.30]"
    assert shown.pop("VIDD") == "0.4567"
    assert set(shown.values()) == {"–"}
    below = "\n".join(table.notes.sentences)
    assert "Measured, no published counterpart: lpips_vgg (distance): ours_7 0.2000." in below
    assert "Measured, no published counterpart: ewarp (error): ours_7 1.2345." in below
    assert "VIDD [inferred, not stated by the authors]" in below
    assert "ours: vidd_arcface (ir_se50.pth)" in below
    assert "Left out: dists: no file" in below


def test_nothing_is_marked_where_published_and_measured_numbers_meet():
    table = beside_published([measured()], "vfhq_test")
    assert {cell.mark.value for row in table.shown() for cell in row} == {"none"}
    assert any(note.startswith("Nothing is marked") for note in table.notes.sentences)
    assert table.notes.text() in table.text()


def test_close_measures_have_no_column():
    for name in SETS:
        taken = {column.measure for column in published_table(name).columns}
        assert not taken & {"ewarp", "vidd", "akd", "lpips_vgg", "ssim", "ids_dlib"}


def test_an_unknown_test_set_and_one_without_measures_are_refused():
    with pytest.raises(UserError, match="did you mean 'vfhq_test'"):
        published_table("vfhq-test")
    with pytest.raises(UserError, match="testset=efficiency"):
        beside_published([measured()], "efficiency")


def test_columns_name_measures_of_ours_or_ones_that_notes_call_for():
    offered = set(groups()["metrics"])
    taken = {column.measure for name in SETS for column in published_table(name).columns if column.measure}
    assert {"psnr", "lpips_alex", "dists"} <= taken & offered


def test_a_wheel_carries_the_tables():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included["experiments/published"] == "dvface/published"
    assert folder() == ROOT / "experiments" / "published"
    assert all(json.loads(path.read_text())["name"] == path.stem for path in folder().glob("*.json"))
