import base64
import io
import re
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dvface.config.build import build
from dvface.config.compose import folder
from dvface.data_prep.plan import Rejection
from dvface.data_prep.prepare.face_clip import FaceClip
from dvface.data_prep.prepare.record import ClipRecord, SourceRecord
from dvface.data_prep.prepare.report import Report, write_contact_sheet, write_report
from dvface.data_prep.prepare.report_data import examples, refused_by
from dvface.data_prep.prepare.report_histograms import thresholds
from dvface.data_prep.prepare.report_tables import count_table, funnel_table, split_table, time_table
from dvface.data_prep.prepare.strips import strip, strip_pixels

FILTERS = {
    "span": {"_target_": "some.Size", "least": 256},
    "sharpness": {"_target_": "some.Sharpness", "least": 40},
    "pose": {"_target_": "some.HeadPose", "most_yaw": 45, "most_roll": 20},
}
HOSTILE = 'a\udc80 "quote\'s" <script>alert(1)</script> \u202e\x00\n日本語 & http://evil.example/x.png.mp4'


def clip(key, source, span=300.0, failed=None):
    measures = {"span": span, "sharpness": 100.0, "yaw": 10.0}
    return ClipRecord(key, source, 0, 0, 0.0, 50, measures, failed or {})


def report_of(clips, **changed):
    """Two sources, a at 25 and b at 50 frames a second, both of the recording r."""
    kept = [one for one in clips if not one.failed]
    keys = list(dict.fromkeys(one.source for one in clips))
    values = {
        "settings": {"size": 512, "filters": FILTERS},
        "filters": FILTERS,
        "detector": "dlib",
        "detector_files": ["shape.dat"],
        "sources": [SourceRecord(key, f"{key}.mp4", counts={"frames": 100}) for key in keys],
        "clips": clips,
        "ignored": [],
        "splits": {one.key: "train" for one in kept},
        "people": {},
        "recordings": dict.fromkeys(keys, "r"),
        "rates": {key: 50.0 if key == "b" else 25.0 for key in keys},
        "strip": {}.get,
    }
    return Report(**(values | changed))


@pytest.fixture
def small():
    """Seven candidates: three are kept, one is too small, one too small and blurred, one blurred, one a copy."""
    clips = [
        clip("a-0", "a"),
        clip("a-1", "a"),
        clip("a-2", "a", 200.0, {"span": "span 200 is below least=256"}),
        clip("a-3", "a", 100.0, {"span": "span 100 is below least=256", "sharpness": "sharpness 3 is below least=40"}),
        clip("b-0", "b"),
        clip("b-1", "b", failed={"sharpness": "sharpness 9 is below least=40"}),
        clip("b-2", "b", failed={"duplicate": "repeats a-0"}),
    ]
    return report_of(
        clips,
        splits={"a-0": "train", "a-1": "train", "b-0": "test"},
        people={"a-0": "ann", "a-1": "ann", "b-0": "ben"},
        recordings={"a": "first", "b": "second"},
    )


def page_of(report, place):
    path = place / "report.html"
    write_report(path, report)
    return path.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Tags, attributes and the text that a reader sees; complains of tags that are not closed in order."""

    VOID = ("meta", "img", "br")

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.words, self._open = [], [], [], []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_the_funnel_by_hand(small):
    rows = [[cell.text for cell in row] for row in funnel_table(small).shown()]
    assert rows == [
        ["candidates", "7", "100.0%", "–", "–"],
        ["refused by span", "2", "28.6%", "2", "1"],
        ["refused by sharpness", "1", "14.3%", "2", "1"],
        ["refused by pose", "0", "0.0%", "0", "0"],
        ["refused by duplicate", "1", "14.3%", "1", "1"],
        ["kept", "3", "42.9%", "–", "–"],
    ]


def test_what_splits_hold_by_hand(small):
    # Two clips of 50 frames at 25 a second last 4 s, one at 50 a second lasts 1 s.
    assert split_table(small).rows == (
        ("train", 2, 100, 4 / 60, 1, 1),
        ("validation", 0, 0, 0.0, 0, None),
        ("test", 1, 50, 1 / 60, 1, 1),
    )


def test_counts_and_times_are_summed_over_the_sources():
    sources = [
        SourceRecord("a", "a", counts={"frames": 100, "faces": 150}, seconds={"decode": 1.0, "find_faces": 5.0}),
        SourceRecord("b", "b", counts={"frames": 300, "too_short": 20}, seconds={"decode": 2.0}),
    ]
    counted = count_table(sources).rows
    assert counted == (("frames", 400, 100.0), ("faces", 150, 37.5), ("too short", 20, 5.0))
    assert time_table(sources).rows == (
        ("find faces", 5.0, 5 / 8, 80.0),
        ("decode", 3.0, 3 / 8, 400 / 3),
        ("all", 8.0, 1.0, 50.0),
    )


def test_thresholds_belong_to_the_filter_of_a_measure_s_name_or_to_an_argument_of_it():
    assert thresholds(FILTERS, "sharpness") == {"least": 40}
    assert thresholds(FILTERS, "yaw") == {"most": 45}
    assert thresholds(FILTERS, "pitch") == {}
    assert thresholds({"light": {"least": 10}, "brightness": {"least": 40, "most": None}}, "brightness") == {
        "least": 40
    }


def test_every_threshold_of_the_default_filters_belongs_to_something_they_measure(carphone):
    filters, identity = (
        yaml.safe_load((folder() / path).read_text()) for path in ("filters/default.yaml", "identity/dlib.yaml")
    )
    marks = np.tile(np.array([[40, 50], [88, 50], [64, 75], [45, 100], [83, 100]], np.float32), (5, 1, 1))
    ones = np.ones(5, np.float32)
    face = FaceClip(carphone[:5, 10:138, 20:148], marks, marks, 128 * ones, ones, ones, Fraction(25))
    for name, arguments in filters.items():
        known = {value for key, value in arguments.items() if key.startswith(("least", "most"))}
        measured = build(arguments)(face).measures
        found = {value for measure in measured for value in thresholds({name: arguments}, measure).values()}
        assert known
        assert found == known, name
    assert thresholds({"identity": identity}, "identity_change") == {"most": identity["most"]}


def test_thresholds_are_marked_and_measures_named(small, tmp_path):
    page = page_of(small, tmp_path)
    for name, mark in [("span", "least 256"), ("sharpness", "least 40"), ("yaw", "most 45")]:
        (picture,) = re.findall(rf'<svg[^>]*aria-label="histogram of {name}[ "].*?</svg>', page, re.DOTALL)
        assert f">{mark}</text>" in picture
        assert "3 kept" in picture or "2 kept" in picture


def test_the_page_tells_the_story_in_order(small, tmp_path):
    text = Reader(page_of(small, tmp_path)).text
    story = ["found by dlib (shape.dat)", "clips kept 3", "clips refused 4", "length kept (h:mm:ss) 0:00:05"]
    story += ["people kept 2", "refused by span 2", "Measures kept", "a-0 · train", "b-0 · test"]
    story += ["a-2 · span 200 is below least=256", "b-2 · repeats a-0", "a.mp4 2 4 100", "b.mp4 1 3 100", '"size": 512']
    places = [text.index(part) for part in story]
    assert places == sorted(places)


def test_strips_stand_in_the_page_and_a_missing_one_is_said_to_be_missing(small, carphone, tmp_path):
    picture = strip(carphone[:40, :144, 16:160])
    page = page_of(replace(small, strip={"a-0": picture}.get), tmp_path)
    sources = [value for name, value in Reader(page).attributes if name == "src"]
    assert [base64.b64decode(one.removeprefix("data:image/jpeg;base64,")) for one in sources] == [picture]
    # a-1, b-0 and four refused clips, of which each is the only example or one of few.
    assert page.count("no picture") == 2 + 3


def test_names_of_files_cannot_harm_the_page(small, tmp_path):
    hostile = replace(
        small,
        settings={HOSTILE: HOSTILE},
        detector=HOSTILE,
        detector_files=[HOSTILE],
        sources=[SourceRecord("a", HOSTILE, HOSTILE, (HOSTILE,), {"codec": HOSTILE}, {HOSTILE: 1}, {HOSTILE: 1.0})],
        ignored=[Rejection(HOSTILE, HOSTILE)],
        clips=[*small.clips, ClipRecord("a-9", "a", 0, 0, 0.0, 9, {HOSTILE: 1.0}, {HOSTILE: HOSTILE})],
    )
    page = page_of(hostile, tmp_path)
    reader = Reader(page)
    assert "script" not in reader.tags
    assert "\x00" not in page
    assert "\u202e" not in page
    assert r"a\udc80 " in reader.text
    assert r"\u202e\x00\n日本語 & http" in reader.text
    assert "<script>alert(1)</script>" in reader.text
    assert not [name for name, _ in reader.attributes if name.startswith("on")]


def test_nothing_is_loaded_from_elsewhere(small, carphone, tmp_path):
    picture = strip(carphone[:5, :96, :96])
    page = page_of(replace(small, strip=lambda key: picture), tmp_path)
    links = [value for name, value in Reader(page).attributes if name in ("src", "href", "srcset", "xlink:href")]
    assert len(links) > 10
    assert all(link.startswith(("#", "data:image/jpeg;base64,")) for link in links)
    assert not re.search(r"url\(|@import|https?:", page)
    anchors = {link[1:] for link in links if link.startswith("#")}
    assert anchors <= {value for name, value in Reader(page).attributes if name == "id"}


def test_the_page_stays_small_whatever_the_data_set(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (5, 96, 96, 3), dtype=np.uint8)
    picture = strip(noise)  # no real clip is as large
    name = '"\udc80' * 200
    keys = [f"source-{number:04d}" for number in range(5000)]
    clips = [
        clip(f"{key}-0", key, failed={f"filter {number % 20}": name} if number % 2 else {})
        for number, key in enumerate(keys)
    ]
    sources = [SourceRecord(key, name, name, (name,), {"codec": name}, {"frames": 9}) for key in keys]
    report = report_of(clips, strip=lambda key: picture, sources=sources, ignored=[Rejection(name, name)] * 5000)
    write_report(tmp_path / "report.html", report)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "report.html").stat().st_size < 8_000_000
    assert "60 of 2,500" in page
    assert "and 4,500 more." in page
    assert "and 4,800 more." in page


def test_the_same_report_gives_the_same_bytes_in_every_order_of_clips(small, carphone, tmp_path):
    small = replace(small, strip=lambda key: strip(carphone[:9, :144, :144]))
    for number, clips in enumerate([small.clips, small.clips[::-1]]):
        write_contact_sheet(tmp_path / f"{number}.png", replace(small, clips=clips))
        write_report(tmp_path / f"{number}.html", small)
    for suffix in ("png", "html"):
        assert (tmp_path / f"0.{suffix}").read_bytes() == (tmp_path / f"1.{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("clips", "sentence"),
    [
        ([], "No clip was kept."),
        ([clip("a-0", "a")], "No clip was refused."),
        ([clip("a-0", "a", failed={"span": "too small"})], "No clip was kept."),
        ([ClipRecord("a-0", "a", 0, 0, 0.0, 9, {}, {})], "frames of a clip"),
    ],
)
def test_pages_with_little_to_tell(clips, sentence, tmp_path):
    report = report_of(clips)
    text = Reader(page_of(report, tmp_path)).text
    assert sentence in text
    assert ("Nothing was measured." in text) == (not clips)
    assert "No file was passed over." in text
    assert "No time was taken." in text
    assert "nan" not in text
    write_contact_sheet(tmp_path / "sheet.png", report)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 480


def test_a_strip_shows_the_first_and_the_last_frame_and_three_between(carphone):
    frames = np.stack([np.full((64, 64, 3), value, np.uint8) for value in range(0, 250, 10)])
    picture = strip(frames)
    with Image.open(io.BytesIO(picture)) as image:
        assert image.format == "JPEG"
    pixels = strip_pixels(picture)
    assert pixels.shape == (96, 480, 3)
    shown = [pixels[:, 96 * n : 96 * n + 96].mean() for n in range(5)]
    np.testing.assert_allclose(shown, [0, 60, 120, 180, 240], atol=1.5)
    assert strip_pixels(strip(frames[:1])).shape == (96, 480, 3)
    square = carphone[:1, :144, :144]
    resized = np.asarray(Image.fromarray(square[0]).resize((96, 96), Image.Resampling.BOX)).astype(float)
    assert np.abs(strip_pixels(strip(square))[:, :96] - resized).mean() < 6


def test_the_contact_sheet_shows_kept_clips_alone(small, tmp_path):
    colours = {"a-0": (250, 0, 0), "a-1": (0, 250, 0), "b-0": (0, 0, 250), "a-2": (250, 250, 250)}
    strips = {key: strip(np.full((1, 96, 96, 3), colour, np.uint8)) for key, colour in colours.items()}
    write_contact_sheet(tmp_path / "sheet.png", replace(small, strip=strips.get))
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image)
    assert sheet.shape[1] == 3 * 480
    for column, key in enumerate(["a-0", "a-1", "b-0"]):
        np.testing.assert_allclose(sheet[-50, 480 * column + 240], colours[key], atol=6)


def test_examples_of_a_filter_are_those_that_it_alone_refuses(small):
    assert [one.key for one in refused_by(small, "span")] == ["a-2"]
    both = report_of([clip("a-3", "a", failed={"span": "small", "sharpness": "blurred"})])
    assert [one.key for one in refused_by(both, "span")] == ["a-3"]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(1, 30), st.randoms())
def test_examples_are_spread_evenly_over_the_sources(sizes, most, random):
    clips = [clip(f"s{source:02d}-{n}", f"s{source:02d}") for source, size in enumerate(sizes) for n in range(size)]
    chosen = examples(clips, most)
    assert len(chosen) == min(most, sum(sizes)) == len({one.key for one in chosen})
    taken = [sum(one.source == f"s{source:02d}" for one in chosen) for source in range(len(sizes))]
    # A source gives fewer than another only when it has no more to give, or when the last round ends.
    assert all(count == size or count >= max(taken) - 1 for count, size in zip(taken, sizes, strict=True))
    random.shuffle(clips)
    assert examples(clips, most) == chosen


def test_one_example_each_of_many_sources_reaches_from_the_first_to_the_last_quarter():
    chosen = examples([clip(f"{number:03d}", f"{number:03d}") for number in range(400)], 4)
    assert [one.key for one in chosen] == ["000", "100", "200", "300"]
