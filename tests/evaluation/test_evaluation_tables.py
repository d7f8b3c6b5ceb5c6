import csv
import io

import pytest

from dvface.evaluation.results import ClipResult, Measure, SetResult
from dvface.evaluation.tables import clips_table, footnotes, frames_csv, methods_table, number_form

PSNR = Measure("psnr", "dB", True, None)
LPIPS = Measure("lpips_alex", "distance", False, "alexnet.pth")
FVD = Measure("fvd", "distance of sets", False, "i3d.pt")


def result(method="ours", psnr=(30.0, 32.0), mean=31.0, interval=(30.25, 31.75), **more):
    clips = [
        ClipResult(f"clip_{number}", 10, 0, {"psnr": value, "lpips_alex": 0.125 + number})
        for number, value in enumerate(psnr)
    ]
    return SetResult(
        method,
        clips,
        {"psnr": mean, "lpips_alex": 0.5, "fvd": 87.123456},
        {} if interval is None else {"psnr": interval},
        [PSNR, LPIPS, FVD],
        **{"left_out": {}, **more},
    )


def test_clips_are_not_ranked_and_the_mean_stands_below_them_with_its_interval():
    assert clips_table(result()).markdown() == (
        "| clip | frames | psnr ↑ | lpips_alex ↓ | fvd ↓ |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| clip_0 | 10 | 30.00 | 0.1250 | – |\n"
        "| clip_1 | 10 | 32.00 | 1.1250 | – |\n"
        "| mean | – | 31.00 [30.25, 31.75] | 0.5000 | 87.12 |\n"
    )


def test_one_clip_has_no_interval():
    assert "[" not in clips_table(result(psnr=(30.0,), interval=None)).text()


def test_csv_holds_full_precision_and_plain_columns_for_the_interval():
    rows = list(csv.reader(io.StringIO(clips_table(result(mean=30.123456789)).csv())))
    assert rows[0] == ["clip", "frames", "psnr", "psnr low", "psnr high", "lpips_alex", "fvd"]
    assert rows[1] == ["clip_0", "10", "30.0", "", "", "0.125", ""]
    assert rows[-1] == ["mean", "", "30.123456789", "30.25", "31.75", "0.5", "87.123456"]


def test_methods_are_ranked_by_their_means_and_only_the_number_is_marked():
    table = methods_table([result("a_b", mean=31.0), result("second", mean=30.5), result("third", mean=29.0)])
    lines = table.markdown().splitlines()
    assert lines[2].startswith("| a_b | 2 | **31.00** [30.25, 31.75] |")
    assert lines[3].startswith("| second | 2 | <u>30.50</u> [30.25, 31.75] |")
    latex = table.latex()
    assert r"a\_b & 2 & \textbf{31.00} {\scriptsize [30.25, 31.75]} & 0.5000 & 87.12 \\" in latex
    assert r"\underline{30.50} {\scriptsize [30.25, 31.75]}" in latex
    assert r"lpips\_alex $\downarrow$" in latex


def test_methods_with_other_measures_have_all_columns_and_dashes():
    other = SetResult("other", [], {"niqe": 5.0}, {}, [Measure("niqe", "", False, None)], {})
    shown = methods_table([result(), other]).text().splitlines()
    assert shown[0].split() == ["method", "clips", "psnr", "↑", "lpips_alex", "↓", "fvd", "↓", "niqe", "↓"]
    assert shown[3].split() == ["other", "0", "–", "–", "–", "5.00"]


def test_footnotes_tell_networks_reasons_and_remarks_once_and_whose_they_are():
    one = result(left_out={"dists": "vgg16.pth is missing"}, remarks=["clip_9: no twin"])
    other = result("other", left_out={"dists": "vgg16.pth is missing"})
    said = footnotes([one, other]).sentences
    assert said == [
        "[low, high]: 95% bootstrap interval of the mean over clips, 10,000 resamples.",
        "Networks: psnr: no network, lpips_alex: alexnet.pth, fvd: i3d.pt.",
        "Of the whole set, no mean over clips: fvd.",
        "Left out: dists: vgg16.pth is missing",
        "ours: clip_9: no twin",
    ]
    assert footnotes([one]).markdown().endswith("- Left out: dists: vgg16.pth is missing\n- clip_9: no twin\n")
    assert r"95\% bootstrap" in footnotes([one]).latex()
    assert r"lpips\_alex: alexnet.pth" in footnotes([one]).latex()


def test_frames_csv_has_a_line_a_frame_under_the_restored_video_s_numbers():
    clips = [
        ClipResult("a,b", 3, 0, {}, {"psnr": [30.5, None, 1 / 3], "lpips_alex": [0.1, 0.2, 0.3]}, [0, 1, 5]),
        ClipResult("second", 1, 0, {}, {"psnr": [31.0]}, [0]),
    ]
    one = SetResult("ours", clips, {}, {}, [PSNR, LPIPS, FVD], {})
    assert list(csv.reader(io.StringIO("".join(frames_csv(one))))) == [
        ["clip", "frame", "psnr", "lpips_alex"],
        ["a,b", "0", "30.5", "0.1"],
        ["a,b", "1", "", "0.2"],
        ["a,b", "5", str(1 / 3), "0.3"],
        ["second", "0", "31.0", ""],
    ]


@pytest.mark.parametrize(("measure", "form"), [("psnr_y", ".2f"), ("fvd", ".2f"), ("ssim", ".4f"), ("tof", ".4f")])
def test_numbers_have_the_digits_that_papers_print(measure, form):
    assert number_form(measure) == form


FORMULAS = ['=HYPERLINK("a","b")', "+1+cmd", "-2+3", "@SUM(A1)", " =1", "＝1+1"]


@pytest.mark.parametrize("name", FORMULAS)
def test_names_of_files_are_no_formulas_in_csv_and_stay_as_they_are_elsewhere(name):
    clips = [ClipResult(name, 1, 0, {"psnr": -1.5}, {"psnr": [-1.5]}, [0])]
    one = SetResult(name, clips, {"psnr": -1.5}, {}, [PSNR], {})
    written = {
        "clips": clips_table(one).csv(),
        "methods": methods_table([one, result()]).csv(),
        "frames": "".join(frames_csv(one)),
    }
    rows = {file: list(csv.reader(io.StringIO(text)))[1] for file, text in written.items()}
    assert rows["clips"] == ["'" + name, "1", "-1.5"]
    assert rows["methods"][0] == "'" + name
    assert rows["frames"] == ["'" + name, "0", "-1.5"]
    assert clips_table(one).text().splitlines()[2].startswith(name)


def test_a_name_that_is_no_formula_stands_in_csv_as_it_is():
    clips = [ClipResult(name, 1, 0, {}, {"psnr": [1.0]}, [0]) for name in ("a=b", "1-2", "'quoted", "", "é@home")]
    one = SetResult("ours", clips, {}, {}, [PSNR], {})
    for text in (clips_table(one).csv(), "".join(frames_csv(one))):
        names = [row[0] for row in csv.reader(io.StringIO(text))][1:6]
        assert names == [clip.name for clip in clips]
