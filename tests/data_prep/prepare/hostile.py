"""Files as life makes them: each function writes one kind into a folder and returns its path."""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import ColorTrc

from dvface.video.write import EXACT, write_video

RATE = Fraction(25)
GROUP = 8  # frames from one keyframe to the next


def _write(
    path: Path,
    frames: Iterable[np.ndarray],
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: Mapping[str, str] = MappingProxyType({}),
    index_first: bool = True,
    times: Iterable[int] | None = None,
    prepare: Callable = lambda stream: None,
) -> Path:
    """Encode ``frames``; ``times`` in milliseconds; ``prepare`` gets the stream before anything is encoded."""
    own = {"movflags": "faststart"} if index_first and path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=own) as container:
        stream = container.add_stream(codec, rate=RATE, options={"g": str(GROUP), **options})
        iterator = iter(frames)
        first = next(iterator)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.thread_count = 1
        prepare(stream)
        clock = None if times is None else iter(times)
        if clock:
            stream.codec_context.time_base = Fraction(1, 1000)
        for pixels in (first, *iterator):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            if clock:
                frame.pts, frame.time_base = next(clock), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def truncated_mp4(folder: Path, frames: np.ndarray) -> Path:
    """An mp4 whose last third is missing; its index stands in front."""
    path = _write(folder / "truncated.mp4", frames)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def headless_mp4(folder: Path, frames: np.ndarray) -> Path:
    """An mp4 whose recording was cut off before the index (moov) was written."""
    path = _write(folder / "headless.mp4", frames, index_first=False)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def truncated_mkv(folder: Path, frames: np.ndarray) -> Path:
    """A Matroska file whose last third is missing."""
    path = _write(folder / "truncated.mkv", frames)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def empty(folder: Path, frames: np.ndarray) -> Path:
    """No bytes at all."""
    (folder / "empty.mp4").write_bytes(b"")
    return folder / "empty.mp4"


def text(folder: Path, frames: np.ndarray) -> Path:
    """Lines of text called .mp4."""
    (folder / "text.mp4").write_text("not a video\n" * 200)
    return folder / "text.mp4"


def playlist(folder: Path, frames: np.ndarray) -> Path:
    """A playlist called .mp4, which points at another file."""
    other = _write(folder / "playlist-target.ts", frames[:GROUP])
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other.name}\n#EXT-X-ENDLIST\n"
    (folder / "playlist.mp4").write_text(text)
    return folder / "playlist.mp4"


def script(folder: Path, frames: np.ndarray) -> Path:
    """A script called .mp4, which makes one long video of another file."""
    other = _write(folder / "script-target.mp4", frames[:GROUP])
    (folder / "script.mp4").write_text("ffconcat version 1.0\n" + f"file {other.name}\n" * 30)
    return folder / "script.mp4"


def _write_sound(path: Path, cover: np.ndarray | None = None) -> Path:
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono")
        if cover is not None:
            picture = container.add_stream("mjpeg", rate=RATE)
            picture.height, picture.width, picture.pix_fmt = *cover.shape[:2], "yuvj420p"
            picture.disposition = Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(cover), format="rgb24")
            container.mux(picture.encode(frame))
            container.mux(picture.encode(None))
        for _ in range(20):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 16000
            container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    return path


def sound_only(folder: Path, frames: np.ndarray) -> Path:
    """Sound without a picture."""
    return _write_sound(folder / "sound.mp4")


def cover_art(folder: Path, frames: np.ndarray) -> Path:
    """Sound with a cover picture, which is no video."""
    return _write_sound(folder / "cover.mp4", frames[0])


def one_frame(folder: Path, frames: np.ndarray) -> Path:
    """A single frame."""
    return _write(folder / "one.mp4", frames[:1])


def damage(path: Path, number: int) -> Path:
    """Overwrite the second half of the coded frame ``number``, in the file's order."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    position, size = packets[number]
    noise = np.random.default_rng(number).integers(0, 256, size // 2, np.uint8).tobytes()
    data[position + size - len(noise) : position + size] = noise
    path.write_bytes(bytes(data))
    return path


def corrupt_middle(folder: Path, frames: np.ndarray) -> Path:
    """A coded frame in the middle is damaged; frames after it refer to it up to the keyframe."""
    return damage(_write(folder / "corrupt.mp4", frames), len(frames) // 2)


def interlaced(folder: Path, frames: np.ndarray) -> Path:
    """Two frames woven into one, the bottom field first: half as many frames as were given."""
    woven = frames[1::2].copy()
    woven[:, 1::2] = frames[: len(woven) * 2 : 2, 1::2]
    options = {"flags": "+ildct+ilme", "x264-params": "bff=1", "crf": "10"}
    return _write(folder / "interlaced.mkv", woven, options=options)


def ten_bit(folder: Path, frames: np.ndarray) -> Path:
    """Ten bits a channel, standard range."""
    return _write(folder / "ten_bit.mkv", frames, pixel_format="yuv420p10le", options={"crf": "10"})


def high_range(folder: Path, frames: np.ndarray) -> Path:
    """Tagged as HLG, a high dynamic range."""

    def tag(stream: av.VideoStream) -> None:
        stream.codec_context.color_trc = ColorTrc.ARIB_STD_B67

    return _write(folder / "hlg.mp4", frames, pixel_format="yuv420p10le", prepare=tag)


def rotated(folder: Path, frames: np.ndarray) -> Path:
    """What a phone writes that was held upright: turn clockwise by a quarter to show."""
    return _write(
        folder / "rotated.mp4", frames, options={"crf": "10"}, prepare=lambda stream: stream.set_display_rotation(-90)
    )


def variable_rate(folder: Path, frames: np.ndarray) -> Path:
    """A phone's jittering 25 frames a second, and half a second without a frame in the middle."""
    jitter = np.random.default_rng(0).integers(-4, 5, len(frames))
    times = [40 * n + int(jitter[n]) + (500 if n >= len(frames) // 2 else 0) for n in range(len(frames))]
    return _write(folder / "variable.mkv", frames, times=[time - times[0] for time in times])


def odd_size(folder: Path, frames: np.ndarray) -> Path:
    """Odd height and width."""
    write_video(folder / "odd.mkv", frames[:, :-1, :-1], RATE, **EXACT)
    return folder / "odd.mkv"


def wide_pixels(folder: Path, frames: np.ndarray) -> Path:
    """Pixels that are shown 16:11 as wide as high."""

    def stretch(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)

    return _write(folder / "wide.mp4", frames, options={"crf": "10"}, prepare=stretch)


UNUSABLE: Mapping[str, Callable[[Path, np.ndarray], Path]] = MappingProxyType(
    {
        "headless_mp4": headless_mp4,
        "empty": empty,
        "text": text,
        "playlist": playlist,
        "script": script,
        "sound_only": sound_only,
        "cover_art": cover_art,
        "high_range": high_range,
    }
)
"""Kinds of which nothing can be made."""

USABLE: Mapping[str, Callable[[Path, np.ndarray], Path]] = MappingProxyType(
    {
        "truncated_mp4": truncated_mp4,
        "truncated_mkv": truncated_mkv,
        "one_frame": one_frame,
        "corrupt_middle": corrupt_middle,
        "interlaced": interlaced,
        "ten_bit": ten_bit,
        "rotated": rotated,
        "variable_rate": variable_rate,
        "odd_size": odd_size,
        "wide_pixels": wide_pixels,
    }
)
"""Kinds that give frames."""


def write_all(folder: Path, frames: np.ndarray) -> dict[str, Path]:
    """One file of every kind, by the name of its kind; ``frames`` (T, H, W, 3) uint8 RGB, at least 32 of even size."""
    return {kind: write(folder, frames) for kind, write in {**UNUSABLE, **USABLE}.items()}
