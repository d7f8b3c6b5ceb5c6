"""Sources made for tests: small real videos with whatever real files have."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from dvface.video.pixels import Colours, PixelsOut

TICK = Fraction(1, 30000)
UNEVEN = tuple(int(time) for time in np.cumsum([0, *np.random.default_rng(3).integers(400, 2500, 23)]))
"""Times in `TICK` of 24 frames of a variable rate."""


def smooth(height: int, width: int, deep: bool = False, seed: int = 0) -> np.ndarray:
    """(H, W, 3) soft colours between 10% and 90%, uint8 or uint16: what codecs keep well."""
    rng = np.random.default_rng(seed)
    rows, columns = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    waves = [
        np.sin(2 * np.pi * (a * rows + b * columns + c)) for a, b, c in rng.uniform((-1, -1, 0), (1, 1, 1), (3, 3))
    ]
    largest = 65535 if deep else 255
    return np.round((0.5 + 0.4 * np.stack(waves, axis=-1)) * largest).astype(np.uint16 if deep else np.uint8)


@dataclass
class Made:
    """What to make.

    Attributes:
        times: of the frames, in ``tick``.
        last: ticks that the last frame is shown.
        sound: FFmpeg's encoder; empty for none.
    """

    times: Sequence[int] = UNEVEN
    tick: Fraction = TICK
    last: int = 1000
    size: tuple[int, int] = (64, 96)
    pixel_format: str = "yuv420p"
    colours: Colours = field(default_factory=lambda: Colours(6, False, 6, 6))
    tagged: bool = True
    aspect: Fraction = Fraction(1)
    rotation: int = 0
    sound: str = ""
    subtitles: str = ""
    chapters: bool = False
    font: bool = False

    @property
    def deep(self) -> bool:
        return "10" in self.pixel_format

    def frame(self, number: int) -> np.ndarray:
        """(H, W, 3) of frame ``number`` as stored."""
        return np.roll(smooth(*self.size, self.deep), 2 * number, axis=1)

    def write(self, path: Path) -> Path:
        clock = {"movie_timescale": str(self.tick.denominator)} if path.suffix in (".mp4", ".mov") else {}
        with av.open(str(path), "w", container_options=clock) as container:
            picture = self._picture(container)
            sound = container.add_stream(self.sound, rate=48000, layout="stereo") if self.sound else None
            if sound:
                sound.metadata["language"] = "deu"
            text = container.add_mux_stream(self.subtitles) if self.subtitles else None
            if text:
                text.time_base, text.metadata["language"] = Fraction(1, 1000), "fra"
            self._extras(container)
            to_frame = PixelsOut(self.colours, self.pixel_format)
            for number, time in enumerate(self.times):
                frame = to_frame(self.frame(number))
                frame.pts, frame.time_base = time, self.tick
                for packet in picture.encode(frame):
                    self._mux(container, packet)
            for packet in picture.encode(None):
                self._mux(container, packet)
            if sound:
                beep(container, sound, float((self.times[-1] + self.last) * self.tick))
            if text:
                for packet in lines(text, self.subtitles):
                    container.mux(packet)
        return path

    def _mux(self, container: Any, packet: Any) -> None:
        later = [time for time in self.times if time > packet.pts]
        packet.duration = later[0] - packet.pts if later else self.last
        container.mux(packet)

    def _picture(self, container: Any) -> Any:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0", "preset": "fast"})
        stream.height, stream.width = self.size
        stream.pix_fmt = self.pixel_format
        context = stream.codec_context
        context.thread_count = 1
        stream.time_base = context.time_base = self.tick
        context.sample_aspect_ratio = self.aspect
        if self.tagged:
            context.colorspace, context.color_range = self.colours.matrix, 2 if self.colours.full_range else 1
            context.color_primaries, context.color_trc = self.colours.primaries, self.colours.transfer
        if self.rotation:
            stream.set_display_rotation(self.rotation)
        return stream

    def _extras(self, container: Any) -> None:
        if self.font:
            container.add_attachment("letters.ttf", "application/x-truetype-font", b"\0\1\0\0letters")
        if self.chapters:
            container.metadata["title"] = "An old film"
            container.set_chapters(
                [
                    {
                        "id": n,
                        "start": 400 * n,
                        "end": 400 * n + 400,
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": name},
                    }
                    for n, name in enumerate(("Morning", "Evening"))
                ]
            )


def beep(container: Any, stream: Any, seconds: float) -> None:
    """Write a tone of 440 Hz that starts 0.2 s in, as long as the picture."""
    moments = np.arange(round(seconds * 48000)) / 48000
    wave = (0.4 * np.sin(2 * np.pi * 440 * moments) * (moments >= 0.2)).astype(np.float32)
    form = stream.codec_context.format.name
    if form == "fltp":
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format=form, layout="stereo")
    else:
        both = np.repeat(wave, 2)[None]
        pcm = both if form == "flt" else (both * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm, format=form, layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def lines(stream: Any, codec: str) -> list[Any]:
    """Two subtitles, at 0.1 and 0.4 s."""
    packets = []
    for start, text in ((100, b"Good morning."), (400, b"Good night.")):
        packet = av.Packet(len(text).to_bytes(2, "big") + text if codec == "mov_text" else text)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = start
        packet.duration = 200
        packets.append(packet)
    return packets


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """Time in seconds and bytes of each packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(stream) if packet.size]


def heard_from(path: Path) -> float:
    """Seconds, on the file's clock, at which the tone of `beep` starts."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            wave = np.abs(frame.to_ndarray().astype(np.float64))
            wave = wave.reshape(-1, 2)[:, 0] if not frame.format.is_planar else wave[0]
            limit = 0.1 * (32767 if frame.format.name.startswith("s16") else 1)
            if (wave > limit).any():
                return float(frame.pts * frame.time_base) + int(np.argmax(wave > limit)) / frame.sample_rate
    raise AssertionError(f"{path} is silent")
