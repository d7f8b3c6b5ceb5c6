import base64
import csv
import hashlib
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvface.report.shell import render
from dvface.report.tables import Column, Compared, Table

COLUMNS = [Column("method"), Column("psnr", "higher", ".2f"), Column("lpips", "lower", ".3f")]
TABLE = Table(COLUMNS, [["ours", 31.814, 0.0776], ["bfvr", 30.954, None], ["a_b", 28.58, 0.1165]])


def test_markdown_marks_best_and_second_by_the_column_s_direction():
    assert TABLE.markdown() == (
        "| method | psnr ↑ | lpips ↓ |\n"
        "| --- | ---: | ---: |\n"
        "| ours | **31.81** | **0.078** |\n"
        "| bfvr | <u>30.95</u> | – |\n"
        "| a_b | 28.58 | <u>0.117</u> |\n"
    )


def test_latex():
    assert TABLE.latex() == (
        "% needs \\usepackage{booktabs}\n"
        "\\begin{tabular}{lrr}\n"
        "\\toprule\n"
        "method & psnr $\\uparrow$ & lpips $\\downarrow$ \\\\\n"
        "\\midrule\n"
        "ours & \\textbf{31.81} & \\textbf{0.078} \\\\\n"
        "bfvr & \\underline{30.95} & – \\\\\n"
        "a\\_b & 28.58 & \\underline{0.117} \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )


def test_text_aligns_words_left_and_numbers_right():
    assert TABLE.text() == (
        "method  psnr ↑  lpips ↓\n"
        "------  ------  -------\n"
        "ours     31.81    0.078\n"
        "bfvr     30.95        –\n"
        "a_b      28.58    0.117\n"
    )


def test_csv_keeps_full_precision_and_leaves_missing_cells_empty():
    rows = list(csv.reader(io.StringIO(TABLE.csv())))
    assert rows == [
        ["method", "psnr", "lpips"],
        ["ours", "31.814", "0.0776"],
        ["bfvr", "30.954", ""],
        ["a_b", "28.58", "0.1165"],
    ]


def test_compared_cells_show_the_change_and_are_ranked_by_their_value():
    table = Table([Column("psnr", "higher", ".1f")], [[Compared(30.0, 20.0)], [Compared(31.5, 32.0)], [30.5], [None]])
    assert [cell.text for (cell,) in table.shown()] == ["30.0 (+10.0)", "31.5 (-0.5)", "30.5", "–"]
    assert [cell.mark.value for (cell,) in table.shown()] == ["none", "best", "second", "none"]
    assert table.csv() == "psnr,psnr change\n30.0,10.0\n31.5,-0.5\n30.5,\n,\n"


@pytest.mark.parametrize(
    ("better", "cells", "marks"),
    [
        ("higher", [0.121, 0.119, 0.31, 0.05], ["second", "second", "best", "none"]),
        ("lower", [2, 2, 5, 7], ["best", "best", "second", "none"]),
        ("higher", [float("nan"), 1.0, 2.0, None], ["none", "second", "best", "none"]),
        ("neither", [1.0, 2.0, 3.0, 4.0], ["none"] * 4),
        ("higher", [1.0, None, None, "x"], ["none"] * 4),
    ],
)
def test_marks(better, cells, marks):
    table = Table([Column("x", better, ".2f")], [[cell] for cell in cells])
    assert [cell.mark.value for (cell,) in table.shown()] == marks


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="2 cells under 3 columns"):
        Table(COLUMNS, [["ours", 1.0]])


@given(st.text())
def test_latex_escapes_every_special_character(text):
    line = Table([Column("x")], [[text]]).latex().splitlines()[-3]
    assert line.endswith(r" \\")
    escapes = (
        r"\\text(backslash|asciitilde|asciicircum|less|greater)\{\}"
        r"|\$\\(uparrow|downarrow|Delta)\$|\\[&%$#_{}]"
    )
    assert not set(re.sub(escapes, "", line.removesuffix(r" \\").removeprefix("{}"))) & set("\\&%$#_{}~^<>")


@given(st.text(alphabet="ab|\\<\n\r "))
def test_a_markdown_row_stays_one_row_of_its_cells(text):
    row = Table([Column("x"), Column("y")], [[text, "end"]]).markdown().split("\n")[2]
    unescaped_bars = re.findall(r"\|", re.sub(r"\\.", "", row))
    assert len(unescaped_bars) == 3
    assert "<" not in row


PAGE = '{% extends "shell" %}{% from "table" import show %}{% block body %}{{ show(table) }}{% endblock %}'


def test_page_escapes_html_and_marks_the_best():
    page = render(PAGE, title="a & b", table=Table(COLUMNS, [["<script>", 2.0, None], ["b", 1.0, None]]))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<h1>a &amp; b</h1>" in page
    assert '<td class="number best">2.00</td>' in page
    assert '<td class="number second">1.00</td>' in page
    assert not re.search(r"https?://|src=|href=", page)
    assert "script-src" not in page


def test_the_only_script_that_a_page_may_run_is_the_one_it_was_given():
    script = 'document.title = "a < b";'
    page = render(PAGE, script, title="a", table=Table(COLUMNS, []))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert f"<script>{script}</script>" in page
