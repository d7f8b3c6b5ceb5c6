"""Pictures through the whole chain unchanged: times, colours, shape, sound and the rest come out as they went in."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.video.made import UNEVEN, Made, heard_from, packets

from dvface.errors import UserError
from dvface.video.encodings import CODECS, Encoding, check_encoding, missing_codecs
from dvface.video.join import join
from dvface.video.keep import piece_suffix, write_pictures
from dvface.video.pictures import open_source
from dvface.video.pixels import Colours


def chain(source_path: Path, target: Path, encoding: Encoding, cuts: tuple[int, ...] = (7,)) -> list[str]:
    """Source to target without restoring, in pieces that end at ``cuts``."""
    source = open_source(source_path)
    frames = list(source.frames())
    pieces, notes = [], []
    for number, (start, stop) in enumerate(zip((0, *cuts), (*cuts, len(frames)), strict=True)):
        pieces.append(target.parent / f"piece{number}{piece_suffix(encoding)}")
        notes += write_pictures(pieces[-1], iter(frames[start:stop]), source.facts, encoding, threads=1)
    return [*notes, *join(target, pieces, source.facts)]


def seconds(path: Path) -> list[Fraction]:
    source = open_source(path)
    return [frame.time * source.facts.time_base for frame in source.frames()]


@pytest.mark.parametrize("start", [0, 15001])
@pytest.mark.parametrize("codec", ["h264", "prores"])
def test_a_variable_rate_with_sound_comes_out_as_it_went_in(tmp_path: Path, start: int, codec: str):
    suffix = ".mp4" if codec == "h264" else ".mov"
    source = Made(times=[start + time for time in UNEVEN], sound="aac").write(tmp_path / "source.mp4")
    assert chain(source, tmp_path / f"out{suffix}", Encoding(codec)) == []
    out = tmp_path / f"out{suffix}"
    assert seconds(out) == seconds(source)
    assert packets(out, "audio") == packets(source, "audio")
    with av.open(str(source)) as before, av.open(str(out)) as after:
        assert after.duration == pytest.approx(before.duration, abs=1000)
        if suffix == ".mp4":  # QuickTime numbers only some languages
            assert after.streams.audio[0].language == "deu"
    lasts = [
        list(open_source(path).frames())[-1].duration * open_source(path).facts.time_base for path in (out, source)
    ]
    # An MP4 with reordered frames gives its length as coded: right within a frame.
    assert float(lasts[0]) == pytest.approx(float(lasts[1]), abs=0.02)


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "h264"), (".webm", "vp9"), (".mp4", "h264")])
def test_players_are_told_the_rate_of_the_source(tmp_path: Path, suffix: str, codec: str):
    source = Made(times=[1001 * number for number in range(24)], last=1001).write(tmp_path / "source.mp4")
    chain(source, tmp_path / f"out{suffix}", Encoding(codec))
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)


def test_joined_pieces_decode_as_the_pieces_do(tmp_path: Path):
    source = Made().write(tmp_path / "source.mp4")
    chain(source, tmp_path / "out.mp4", Encoding(), cuts=(5, 6, 20))
    joined = [frame.pixels for frame in open_source(tmp_path / "out.mp4").frames()]
    apart = [frame.pixels for number in range(4) for frame in open_source(tmp_path / f"piece{number}.mp4").frames()]
    np.testing.assert_array_equal(joined, apart)


def test_lossless_pieces_join_to_what_one_piece_is(tmp_path: Path):
    source = Made(times=range(0, 12000, 1200)).write(tmp_path / "source.mp4")
    for name, cuts in (("one.mkv", ()), ("three.mkv", (3, 7))):
        chain(source, tmp_path / name, Encoding("ffv1"), cuts)
    one, three = (list(open_source(tmp_path / name).frames()) for name in ("one.mkv", "three.mkv"))
    assert [frame.time for frame in one] == [frame.time for frame in three]
    for alone, joined, read in zip(one, three, open_source(source).frames(), strict=True):
        np.testing.assert_array_equal(alone.pixels, joined.pixels)
        np.testing.assert_array_equal(alone.pixels, read.pixels)


@pytest.mark.parametrize(
    ("colours", "pixel_format", "codec"),
    [
        (Colours(6, True, 6, 6), "yuv420p", "h264"),
        (Colours(9, False, 9, 14), "yuv420p10le", "h265"),
        (Colours(1, False, 1, 1), "yuv420p", "vp9"),
        (Colours(1, False, 1, 1), "yuv420p10le", "av1"),
    ],
)
def test_colours_depth_and_pixel_shape_are_kept(tmp_path: Path, colours: Colours, pixel_format: str, codec: str):
    if codec in missing_codecs():
        pytest.skip(f"this PyAV cannot encode {codec}")
    made = Made(times=range(0, 5000, 1000), colours=colours, pixel_format=pixel_format, aspect=Fraction(4, 3))
    chain(made.write(tmp_path / "source.mp4"), tmp_path / "out.mp4", Encoding(codec), cuts=(2,))
    before, after = open_source(tmp_path / "source.mp4"), open_source(tmp_path / "out.mp4")
    for field in ("colours", "bit_depth", "sample_aspect", "height", "width", "rate"):
        assert getattr(after.facts, field) == getattr(before.facts, field), field
    level = 257 if made.deep else 1
    shift = [
        (b.pixels.astype(float) - a.pixels).mean((0, 1)) for a, b in zip(before.frames(), after.frames(), strict=True)
    ]
    assert np.abs(np.mean(shift, axis=0) / level).max() < 0.5


def test_a_turned_source_comes_out_upright_without_rotation(tmp_path: Path):
    source = Made(times=range(0, 3000, 1000), aspect=Fraction(4, 3), rotation=90).write(tmp_path / "phone.mp4")
    chain(source, tmp_path / "out.mp4", Encoding(), cuts=())
    facts = open_source(tmp_path / "out.mp4").facts
    assert (facts.height, facts.width, facts.sample_aspect, facts.rotation) == (96, 64, Fraction(3, 4), 0)


def test_odd_sizes_are_kept_and_the_price_is_said(tmp_path: Path):
    folder = open_source(Made(times=[0, 1000], size=(64, 96)).write(tmp_path / "source.mp4"))
    odd = [type(frame)(frame.pixels[:63, :95], frame.time, frame.duration) for frame in folder.frames()]
    notes = write_pictures(tmp_path / "odd.mp4", odd, folder.facts, Encoding())
    assert "95×63" in notes[0]
    assert "yuv444p" in notes[0]
    assert write_pictures(tmp_path / "odd.webm", odd, folder.facts, Encoding("vp9"), 1)[0].startswith(
        ".webm files count"
    )
    for name in ("odd.mp4", "odd.webm"):
        assert (open_source(tmp_path / name).facts.height, open_source(tmp_path / name).facts.width) == (63, 95)


@pytest.mark.parametrize(
    ("sound", "suffix", "codec", "heard"),
    [("pcm_s16le", ".mkv", "h264", "pcm_s16le"), ("aac", ".webm", "vp9", "opus"), ("libopus", ".mov", "h264", "aac")],
)
def test_sound_is_copied_or_converted_and_stays_in_step(
    tmp_path: Path, sound: str, suffix: str, codec: str, heard: str
):
    source = Made(times=range(0, 30000, 1200), sound=sound).write(tmp_path / "source.mkv")
    out = tmp_path / f"out{suffix}"
    notes = chain(source, out, Encoding(codec))
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name == heard
    copied = sound == heard
    if copied:
        assert packets(out, "audio") == packets(source, "audio")
    assert any("was converted to" in note for note in notes) is not copied
    assert heard_from(out) - float(seconds(out)[0]) == pytest.approx(
        heard_from(source) - float(seconds(source)[0]), abs=0.01
    )


def test_subtitles_chapters_fonts_and_title_are_kept_or_named(tmp_path: Path):
    made = Made(sound="aac", subtitles="subrip", chapters=True, font=True)
    source = made.write(tmp_path / "source.mkv")
    assert [note for note in chain(source, tmp_path / "out.mkv", Encoding()) if "left out" in note] == []
    assert packets(tmp_path / "out.mkv", "subtitle") == packets(source, "subtitle")
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.metadata["title"] == "An old film"
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["Morning", "Evening"]
        assert container.streams.subtitles[0].language == "fra"
        assert container.streams.attachments[0].data == b"\0\1\0\0letters"
    notes = chain(source, tmp_path / "out.mp4", Encoding())
    assert [note.split(" was")[0] for note in notes] == ["subtitles 1 (srt, fra)", "attachment letters.ttf"]
    assert all(".mkv keeps it" in note for note in notes)
    assert packets(tmp_path / "out.mp4", "audio")[5][1] == packets(source, "audio")[5][1]


def test_a_broadcast_clock_is_set_to_zero_for_picture_and_sound_alike(tmp_path: Path):
    source = Made(times=range(90000, 180000, 3600), tick=Fraction(1, 90000), sound="aac").write(tmp_path / "source.ts")
    chain(source, tmp_path / "out.mp4", Encoding())
    with av.open(str(source)) as before, av.open(str(tmp_path / "out.mp4")) as after:
        assert after.start_time == 0
        assert after.duration == pytest.approx(before.duration, abs=40000)
        shown = next(before.decode(video=0)).pts * Fraction(1, 90000)
    gap = heard_from(source) - float(shown)
    assert heard_from(tmp_path / "out.mp4") - float(seconds(tmp_path / "out.mp4")[0]) == pytest.approx(gap, abs=0.003)


@pytest.mark.parametrize(
    ("encoding", "name", "message"),
    [
        (Encoding("prores"), "out.mp4", r"prores does not go into \.mp4 files; name the output out\.mov"),
        (Encoding("h264"), "out.webm", r"choose one of vp9, av1"),
        (Encoding("h2644"), "out.mp4", "did you mean 'h264'"),
        (Encoding(), "out.avi", r"no suffix of a video container"),
        (Encoding(quality=60), "out.mp4", r"quality 60 is outside of 0 \(best\) to 51"),
        (Encoding("ffv1", quality=3), "out.mkv", "has no quality"),
        (Encoding("prores", bit_depth=8), "out.mov", "stores 10 bits"),
        (Encoding(bit_depth=12), "out.mp4", "stores 8 or 10 bits"),
    ],
)
def test_impossible_pairs_are_refused_with_the_nearest_possible(encoding: Encoding, name: str, message: str):
    with pytest.raises(UserError, match=message):
        check_encoding(encoding, name)


def test_every_codec_names_a_container_for_its_pieces():
    for name in CODECS:
        if name not in missing_codecs():
            check_encoding(Encoding(name), f"piece{piece_suffix(Encoding(name))}")


def test_pieces_out_of_order_or_of_other_settings_are_refused_and_nothing_is_left(tmp_path: Path):
    source = open_source(Made(times=range(0, 4000, 1000)).write(tmp_path / "source.mp4"))
    frames = list(source.frames())
    one, other = tmp_path / "1.mp4", tmp_path / "2.mp4"
    write_pictures(one, frames[:2], source.facts, Encoding())
    write_pictures(other, frames[2:], source.facts, Encoding())
    with pytest.raises(UserError, match=r"1\.mp4 does not begin after"):
        join(tmp_path / "out.mp4", [other, one], source.facts)
    write_pictures(other, frames[2:], source.facts, Encoding("h265"))
    with pytest.raises(UserError, match="encoded differently"):
        join(tmp_path / "out.mp4", [one, other], source.facts)
    with pytest.raises(UserError, match="no frames to write"):
        write_pictures(tmp_path / "out.mp4", [], source.facts, Encoding())
    with pytest.raises(ValueError, match="must be above"):
        write_pictures(tmp_path / "out.mp4", [frames[1], frames[0]], source.facts, Encoding())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.mp4", "2.mp4", "source.mp4"]
