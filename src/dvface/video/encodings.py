"""How restored pictures are encoded: which codecs, how well, how deep, and into which files they go."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import av

from dvface.errors import UserError, nearest

CONTAINERS: Mapping[str, str] = MappingProxyType({".mp4": "mp4", ".mkv": "matroska", ".mov": "mov", ".webm": "webm"})
"""FFmpeg's name of the format by the file's suffix."""


@dataclass(frozen=True)
class Encoding:
    """What the user chooses.

    Attributes:
        codec: ``h264``, ``h265``, ``vp9``, ``av1``, ``prores`` or ``ffv1`` (lossless).
        quality: the codec's constant rate factor: lower is better and larger. None: visually lossless.
        bit_depth: 8 or 10; None: 10 where the source has more than 8 bits and the codec can, else 8.
    """

    codec: str = "h264"
    quality: float | None = None
    bit_depth: int | None = None


@dataclass(frozen=True)
class Codec:
    """What a codec can.

    Attributes:
        encoder: FFmpeg's encoder.
        suffixes: of files that take it, the usual one first.
        formats: FFmpeg's pixel format by bit depth.
        exact_formats: the one that keeps odd sizes, by bit depth.
        options: the encoder's own.
        quality: best, usual and worst rate factor; None where the codec has none.
    """

    encoder: str
    suffixes: tuple[str, ...]
    formats: Mapping[int, str]
    exact_formats: Mapping[int, str]
    options: Mapping[str, str]
    quality: tuple[float, float, float] | None = None


_HALVED = {8: "yuv420p", 10: "yuv420p10le"}
_FULL = {8: "yuv444p", 10: "yuv444p10le"}

CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        "h264": Codec("libx264", (".mp4", ".mkv", ".mov"), _HALVED, _FULL, {"preset": "medium"}, (0, 16, 51)),
        "h265": Codec(
            "libx265",
            (".mp4", ".mkv", ".mov"),
            _HALVED,
            _FULL,
            # An open group of pictures would lean on frames of the piece before.
            {"preset": "medium", "x265-params": "log-level=error:open-gop=0"},
            (0, 16, 51),
        ),
        "vp9": Codec(
            "libvpx-vp9",
            (".webm", ".mkv", ".mp4"),
            _HALVED,
            _HALVED,
            {"deadline": "good", "cpu-used": "4", "row-mt": "1"},
            (0, 18, 63),
        ),
        "av1": Codec("libsvtav1", (".mp4", ".mkv", ".webm"), _HALVED, _HALVED, {"preset": "8"}, (1, 20, 63)),
        "prores": Codec(
            "prores_ks", (".mov", ".mkv"), {10: "yuv422p10le"}, {10: "yuv444p10le"}, {"vendor": "apl0", "profile": "3"}
        ),
        "ffv1": Codec(
            "ffv1",
            (".mkv",),
            {8: "bgr0", 10: "gbrp10le"},
            {8: "bgr0", 10: "gbrp10le"},
            {"level": "3", "slicecrc": "1", "slices": "4"},
        ),
    }
)
_PRORES_4444 = {"profile": "4"}


@dataclass(frozen=True)
class Chosen:
    """How one video is encoded, and what has to be said of it.

    Attributes:
        encoder: FFmpeg's name.
        pixel_format: FFmpeg's name.
        options: the encoder's own.
        notes: a sentence on each thing that differs from what was wanted or from the source.
    """

    encoder: str
    pixel_format: str
    options: Mapping[str, str]
    notes: tuple[str, ...]


@cache
def encodable_formats(encoder: str) -> tuple[str, ...]:
    """FFmpeg's pixel formats that ``encoder`` takes in this installation; empty where it is missing."""
    try:
        codec = av.codec.Codec(encoder, "w")
    except av.codec.codec.UnknownCodecError:
        return ()
    return tuple(form.name for form in codec.video_formats or ())


def missing_codecs() -> dict[str, str]:
    """The codecs of `CODECS` that this installation cannot encode, and the encoder that each lacks."""
    return {name: codec.encoder for name, codec in CODECS.items() if not encodable_formats(codec.encoder)}


def _depths(codec: Codec) -> tuple[int, ...]:
    return tuple(depth for depth, form in codec.formats.items() if form in encodable_formats(codec.encoder))


def check_encoding(encoding: Encoding, path: str | Path) -> None:
    """Find out before hours of work whether ``encoding`` can be written to ``path``.

    Raises:
        UserError: the suffix, codec, quality or depth is none that can be had, or they do not go together.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in CONTAINERS:
        raise UserError(f"{path} has no suffix of a video container; name it {', '.join(CONTAINERS)}")
    if encoding.codec not in CODECS:
        known = ", ".join(CODECS)
        raise UserError(f"codec '{encoding.codec}' is unknown{nearest(encoding.codec, CODECS)} choose one of {known}")
    codec = CODECS[encoding.codec]
    if not encodable_formats(codec.encoder):
        there = ", ".join(name for name in CODECS if name not in missing_codecs())
        raise UserError(
            f"codec {encoding.codec} needs FFmpeg's encoder {codec.encoder}, which this installation of PyAV lacks; "
            f"choose one of {there}"
        )
    if suffix not in codec.suffixes:
        others = ", ".join(name for name, other in CODECS.items() if suffix in other.suffixes)
        raise UserError(
            f"codec {encoding.codec} does not go into {suffix} files; name the output {Path(path).stem}"
            f"{codec.suffixes[0]} or choose one of {others}"
        )
    if encoding.quality is not None:
        _check_quality(encoding.codec, codec, encoding.quality)
    if encoding.bit_depth is not None and encoding.bit_depth not in _depths(codec):
        depths = " or ".join(map(str, _depths(codec)))
        able = ", ".join(name for name, other in CODECS.items() if encoding.bit_depth in _depths(other))
        raise UserError(
            f"codec {encoding.codec} stores {depths} bits here, not {encoding.bit_depth}; choose {depths}"
            + (f" or one of the codecs {able}" if able else "")
        )


def _check_quality(name: str, codec: Codec, quality: float) -> None:
    if codec.quality is None:
        raise UserError(f"codec {name} has no quality to choose (got {quality:g}); leave quality out")
    best, usual, worst = codec.quality
    if not best <= quality <= worst:
        raise UserError(
            f"quality {quality:g} is outside of {best:g} (best) to {worst:g} (worst) of codec {name}; {usual:g} is "
            "visually lossless"
        )


def choose(encoding: Encoding, path: str | Path, height: int, width: int, source_depth: int) -> Chosen:
    """How frames of this size and source are encoded into ``path``.

    Raises:
        UserError: as `check_encoding`.
    """
    check_encoding(encoding, path)
    codec = CODECS[encoding.codec]
    depths, notes = _depths(codec), []
    depth = encoding.bit_depth or (10 if source_depth > 8 else 8)
    if depth not in depths:
        stored = min(depths, key=lambda candidate: abs(candidate - depth))
        if stored < depth:
            notes.append(
                f"The source has {source_depth} bits, codec {encoding.codec} stores {stored} here; h264 or h265 store "
                "10."
            )
        depth = stored
    elif encoding.bit_depth is None and source_depth > depth:
        notes.append(f"The source has {source_depth} bits; {depth} are stored.")
    odd = bool(height % 2 or width % 2)
    form = (codec.exact_formats if odd else codec.formats)[depth]
    options = dict(codec.options)
    if codec.quality:
        options["crf"] = f"{codec.quality[1] if encoding.quality is None else encoding.quality:g}"
    if form != codec.formats[depth]:
        if encoding.codec == "prores":
            options |= _PRORES_4444
        notes.append(
            f"The picture is {width}×{height}: an odd size, which {encoding.codec} keeps only with colour at every "
            f"pixel ({form}); browsers and hardware players may refuse that, vp9 keeps odd sizes in the common format."
        )
    if encoding.codec == "ffv1":
        notes.append(
            f"The picture is stored as RGB of {depth} bits, without loss; the source's colour matrix and range do not "
            "apply."
        )
    return Chosen(codec.encoder, form, options, tuple(notes))
