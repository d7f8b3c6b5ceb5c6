import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from dvface.evaluation import page as module
from dvface.evaluation.page import error_panel, evaluation_page
from dvface.evaluation.results import ClipResult, Measure, SetResult, WorstFrame

PSNR = Measure("psnr", "mean of PSNR in dB", True, None)
LPIPS = Measure("lpips_alex", "distance", False, "alexnet.pth")


def result(method="ours", clips=("one",), frames=3, worst=(), **more):
    found = [
        ClipResult(
            name,
            frames,
            0,
            {"psnr": 30.0, "lpips_alex": 0.1},
            {"psnr": [30.0 + number for number in range(frames)], "lpips_alex": [None] * frames},
            range(frames),
            ["2 frames left out"],
            worst,
        )
        for name in clips
    ]
    mean = {"psnr": 30.0, "lpips_alex": 0.1}
    return SetResult(method, found, mean, {}, [PSNR, LPIPS], **{"left_out": {"dists": "vgg16.pth is missing"}, **more})


class Balanced(HTMLParser):
    """Every element that is opened is closed in order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def text_of(page):
    reader = Balanced()
    reader.feed(page)
    assert reader.open == []
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL).split())


def written(folder, name, size=8):
    content = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), 90, np.uint8)).save(content, format="PNG")
    (folder / name).write_bytes(content.getvalue())


def test_the_page_shows_means_curves_definitions_networks_and_what_was_left_out(tmp_path):
    text = text_of(page := evaluation_page([result(), result("other")], tmp_path))
    assert "mean of PSNR in dB" in text
    assert "alexnet.pth" in text
    assert "dists all vgg16.pth is missing" in text
    assert "ours: 2 frames left out" in text
    assert "frame 2; ours: 32.00; other: 32.00" in text
    assert page.count('<svg class="lines"') == 1
    assert "no frame has a number" in text
    assert "1 of 2 plots and 0 of 0 pictures are in this page" in text


def test_the_page_loads_nothing_and_has_no_script(tmp_path):
    page = evaluation_page([result()], tmp_path)
    assert "default-src 'none'" in page
    assert not re.search(r"<script|https?://|url\(|@import", page)


def test_names_are_escaped_everywhere(tmp_path):
    evil = "<img src=x onerror=alert(1)>&\u202e"
    worst = [WorstFrame(0, "psnr", 1.0, f"{evil}.png")]
    one = result(evil, [evil], worst=worst, left_out={evil: evil}, remarks=[evil])
    page = evaluation_page([one, result("other")], tmp_path)
    assert "<img src=x" not in page
    assert "\u202e" not in page
    page.encode()
    text_of(page)


def test_worst_frames_are_embedded_and_a_missing_one_is_said(tmp_path):
    written(tmp_path, "there.png")
    (tmp_path / "text.jpg").write_text("no picture")
    worst = [WorstFrame(1234, "psnr", 21.5, name) for name in ("there.png", "gone.png", "text.jpg")]
    page = evaluation_page([result(worst=worst)], tmp_path)
    text = text_of(page)
    assert page.count('<img src="data:image/png;base64,') == 1
    assert "ours, frame 1,234: psnr 21.50" in text
    assert "gone.png is missing" in text
    assert "text.jpg is neither JPEG nor PNG" in text
    assert "1 of 3 pictures" in text


def test_a_full_page_keeps_every_clip_s_worst_before_any_second(tmp_path, monkeypatch):
    names = [f"{clip}-{rank}.png" for clip in "ab" for rank in range(3)]
    for name in names:
        written(tmp_path, name)
    size = (tmp_path / names[0]).stat().st_size
    monkeypatch.setattr(module, "MOST_PICTURES", 2 * size)
    clips = [
        ClipResult(clip, 1, 0, {}, {}, [], (), [WorstFrame(n, "psnr", 1.0, f"{clip}-{n}.png") for n in range(3)])
        for clip in "ab"
    ]
    text = text_of(page := evaluation_page([SetResult("ours", clips, {}, {}, [PSNR], {})], tmp_path))
    shown = re.findall(r"frame (\d): psnr [\d.]+</figcaption><img", page)
    assert shown == ["0", "0"]
    assert "not in this page, which is full: b-2.png" in text


def test_many_clips_and_measures_give_a_page_of_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_CURVES", 100_000)
    names = [f"measure_{number}" for number in range(5)]
    values = list(np.random.default_rng(0).standard_normal(400))
    clips = [ClipResult(f"clip_{number}", 400, 0, {}, dict.fromkeys(names, values), range(400)) for number in range(20)]
    many = SetResult("ours", clips, {}, {}, [Measure(name, "", True, None) for name in names], {})
    page = evaluation_page([many], tmp_path)
    drawn = page.count('<svg class="lines"')
    assert f"{drawn} of 100 plots" in page
    assert 10 < drawn < 100
    assert len(page) < 300_000
    assert "the numbers stand in frames.csv" in page


def test_an_evaluation_of_no_clip_says_so(tmp_path):
    assert "No clip was measured" in evaluation_page([SetResult("ours", [], {}, {}, [], {"psnr": "no clip"})], tmp_path)


def test_an_error_panel_shows_both_frames_and_brighter_errors_for_larger_differences():
    clean = np.full((220, 300, 3), 100, np.uint8)
    restored = clean.copy()
    restored[:, 100:200] += 8
    restored[:, 200:] += 80
    panel = error_panel(restored, clean)
    row = panel[150].astype(int)
    assert (row[50] == 100).all()
    assert (row[250] == 180).all()
    assert (row[300:600] == 100).all()
    none, some, most = (row[600 + x].sum() for x in (50, 150, 250))
    assert none < 15 < some < most
    light, dark = panel[40:, -36], panel[-20:, -36]
    assert light[0].sum() > 400
    assert dark[0].sum() < 60


@pytest.mark.parametrize("shape", [(512, 512), (1080, 1920), (33, 47), (1, 1)])
def test_an_error_panel_is_at_most_480_high(shape):
    frame = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    for clean in (frame[::-1], None):
        panel = error_panel(frame, clean)
        assert panel.dtype == np.uint8
        assert panel.shape[0] <= 480
        assert panel.shape[2] == 3


def test_an_error_panel_refuses_frames_of_two_sizes():
    with pytest.raises(ValueError, match="clean"):
        error_panel(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8))
