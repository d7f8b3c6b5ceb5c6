"""Between FFmpeg's frames and RGB arrays in the source's own matrix, range and depth, without a brightness drift.

FFmpeg's converter is accurate between 8-bit limited-range YUV and 8-bit RGB (mean error below 0.02 of 255 levels,
measured on every matrix here). It is not elsewhere: to 16-bit RGB it truncates to 8 bits (mean −0.49 levels), from
RGB to full range chroma is half a level low, and to 10 bits luma is 0.4 levels high. There the matrix is applied
here, and FFmpeg only resamples chroma, which leaves luma exact.
"""

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from dvface.errors import UserError
from dvface.video.colour import ACCURATE

UNSPECIFIED = 2
BT709 = 1
BT601 = 6

# ITU-T H.273, table 4: what red and blue weigh in luma, by code point.
LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}
_SCALER_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}  # FFmpeg's scaler has numbers of its own
_PLANAR_DEPTHS = (9, 10, 12, 14, 16)
RGB_MATRIX = 0


@dataclass(frozen=True)
class Colours:
    """How a video's numbers mean colours: code points of ITU-T H.273.

    Attributes:
        matrix: between RGB and YUV; never unspecified.
        full_range: whether black is 0 and white the largest number, else 16 to 235 (of 8 bits).
        primaries: 2 where the source does not say.
        transfer: 2 where the source does not say.
    """

    matrix: int
    full_range: bool
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED


OF_RGB = Colours(BT709, False, BT709, BT709)
"""What pictures that are RGB themselves become when they are stored as YUV."""


def is_rgb(form: Any) -> bool:
    """Whether FFmpeg's ``VideoFormat`` stores RGB, plainly or by a palette."""
    return bool(form.is_rgb or form.has_palette)


def bit_depth(form: Any) -> int:
    """Bits a sample of FFmpeg's ``VideoFormat``: those of its finest component."""
    return max(component.bits for component in form.components)


def colours_of(frame: av.VideoFrame, context: Any, name: str) -> Colours:
    """What the decoded ``frame`` says of its colours, else its decoder ``context``, else the usual rule.

    An unnamed matrix is BT.709 from 720 lines on, below BT.601; an unnamed range is limited. Primaries and transfer
    stay unspecified: no conversion here depends on them.

    Raises:
        UserError: the matrix is one that cannot be converted; ``name`` is the file to blame.
    """
    if is_rgb(frame.format):
        return OF_RGB

    def said(field: str) -> int:
        own = int(getattr(frame, field))
        return own if own != UNSPECIFIED else int(getattr(context, field))

    matrix = said("colorspace")
    if matrix in (UNSPECIFIED, RGB_MATRIX):  # a YUV format that says RGB is mistagged
        matrix = BT709 if frame.height >= 720 else BT601
    if matrix not in LUMA_WEIGHTS:
        raise UserError(
            f"{name} stores its colours by the matrix number {matrix} of ITU-T H.273, which cannot be converted; "
            "convert it to BT.709"
        )
    full = frame.format.name.startswith("yuvj") or ColorRange.JPEG in (frame.color_range, context.color_range)
    return Colours(matrix, full, said("color_primaries"), said("color_trc"))


def _scale(depth: int, full: bool) -> tuple[float, float, float, float]:
    """Black, luma's span, chroma's middle and chroma's span at a depth (ITU-T H.273, equations 23 to 28)."""
    unit = 2.0 ** (depth - 8)
    return (
        (0.0, 2.0**depth - 1, 128 * unit, 2.0**depth - 1) if full else (16 * unit, 219 * unit, 128 * unit, 224 * unit)
    )


def _planes(frame: av.VideoFrame, depth: int) -> list[np.ndarray]:
    """The frame's planes as arrays that share its memory: (H, W) uint8, or uint16 above 8 bits."""
    kind = np.dtype(np.uint8 if depth <= 8 else np.uint16)
    rows = (np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size) for plane in frame.planes)
    return [
        row[: plane.height, : plane.width * kind.itemsize].view(kind)
        for row, plane in zip(rows, frame.planes, strict=True)
    ]


def _full_chroma(depth: int) -> str:
    return "yuv444p" if depth <= 8 else f"yuv444p{depth}le"


def _resample_chroma(reformatter: VideoReformatter, frame: av.VideoFrame, form: str) -> av.VideoFrame:
    """The frame in another chroma format of the same depth; the numbers keep their range."""
    same = ColorRange.JPEG if frame.format.name.startswith("yuvj") else ColorRange.MPEG
    return reformatter.reformat(
        frame,
        format=form,
        src_colorspace=BT709,
        dst_colorspace=BT709,
        src_color_range=same,
        dst_color_range=same,
        interpolation=ACCURATE,
        threads=1,
    )


def _rounded(values: np.ndarray, largest: int) -> np.ndarray:
    kind = np.uint8 if largest <= 255 else np.uint16
    return np.clip(np.rint(values), 0, largest).astype(kind)


class PixelsIn:
    """Turns decoded frames into upright RGB.

    Args:
        colours: of the source.
        deep: whether to give uint16 (0 to 65535), else uint8.
    """

    def __init__(self, colours: Colours, deep: bool) -> None:
        self._colours = colours
        self._deep = deep
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, 3) RGB, turned upright where the container carries a rotation."""
        depth = bit_depth(frame.format)
        if is_rgb(frame.format):
            pixels = self._of_rgb(frame, depth)
        elif depth <= 8 and not self._colours.full_range and not self._deep:
            pixels = self._scaled(frame, "rgb24")
        else:
            pixels = self._of_yuv(frame, depth)
        # The container's angle is counter-clockwise, as is NumPy's.
        return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))

    def _scaled(self, frame: av.VideoFrame, form: str) -> np.ndarray:
        matrix = _SCALER_MATRIX[self._colours.matrix]
        return self._reformatter.reformat(
            frame,
            format=form,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=ColorRange.UNSPECIFIED if is_rgb(frame.format) else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=ACCURATE,
            threads=1,
        ).to_ndarray()

    def _of_rgb(self, frame: av.VideoFrame, depth: int) -> np.ndarray:
        if depth <= 8:
            pixels = self._scaled(frame, "rgb24")
            return pixels.astype(np.uint16) * 257 if self._deep else pixels
        if depth not in _PLANAR_DEPTHS:
            depth = 16
        pixels = self._scaled(frame, f"gbrp{depth}le").astype(np.float32)
        largest = 65535 if self._deep else 255
        return _rounded(pixels * (largest / (2**depth - 1)), largest)

    def _of_yuv(self, frame: av.VideoFrame, depth: int) -> np.ndarray:
        depth = depth if depth in (8, *_PLANAR_DEPTHS) else 16 if depth > 8 else 8
        form = "yuvj444p" if frame.format.name.startswith("yuvj") else _full_chroma(depth)
        luma, blue, red = _planes(_resample_chroma(self._reformatter, frame, form), depth)
        black, luma_span, middle, chroma_span = _scale(depth, self._colours.full_range)
        red_weight, blue_weight = LUMA_WEIGHTS[self._colours.matrix]
        largest = 65535 if self._deep else 255
        grey = (luma.astype(np.float32) - black) * (largest / luma_span)
        to_blue = (blue.astype(np.float32) - middle) * (2 * (1 - blue_weight) * largest / chroma_span)
        to_red = (red.astype(np.float32) - middle) * (2 * (1 - red_weight) * largest / chroma_span)
        green = grey - (red_weight * to_red + blue_weight * to_blue) / (1 - red_weight - blue_weight)
        return np.stack([_rounded(plane, largest) for plane in (grey + to_red, green, grey + to_blue)], axis=-1)


class PixelsOut:
    """Turns RGB into frames for an encoder.

    Args:
        colours: what the frames are to be stored in; of an RGB format only primaries and transfer count.
        pixel_format: FFmpeg's name: planar YUV or RGB of at least 8 bits.
        chroma_left: whether 4:2:0 chroma lies on every second column, as the decoders of H.264 and H.265 say of
            their frames; FFmpeg's converter puts it between two, where it then reads that of other codecs. Mixing
            both shifts colours by half a pixel.
    """

    def __init__(self, colours: Colours, pixel_format: str, chroma_left: bool = True) -> None:
        self._colours = colours
        self._format = pixel_format
        self._left = chroma_left and pixel_format.startswith("yuv420p")
        form = av.VideoFormat(pixel_format)
        self._depth = bit_depth(form)
        self._is_rgb = is_rgb(form)
        self._reformatter = VideoReformatter()

    def __call__(self, pixels: np.ndarray) -> av.VideoFrame:
        """A frame from (H, W, 3) RGB, uint8 (0 to 255) or uint16 (0 to 65535)."""
        if self._is_rgb:
            frame = self._to_rgb(pixels)
        elif self._left:
            frame = self._to_yuv(pixels)
        elif pixels.dtype == np.uint8 and self._depth == 8 and not self._colours.full_range:
            frame = self._scaled(pixels)
        else:
            frame = _resample_chroma(self._reformatter, self._to_yuv(pixels), self._format)
        frame.colorspace = RGB_MATRIX if self._is_rgb else self._colours.matrix
        frame.color_range = ColorRange.JPEG if self._is_rgb or self._colours.full_range else ColorRange.MPEG
        frame.color_primaries, frame.color_trc = self._colours.primaries, self._colours.transfer
        return frame

    def _to_rgb(self, pixels: np.ndarray) -> av.VideoFrame:
        largest = 2**self._depth - 1
        if largest != np.iinfo(pixels.dtype).max:
            pixels = _rounded(pixels.astype(np.float32) * (largest / np.iinfo(pixels.dtype).max), largest)
        if self._depth > 8:
            return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=self._format)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        return self._reformatter.reformat(frame, format=self._format, interpolation=ACCURATE, threads=1)

    def _scaled(self, pixels: np.ndarray) -> av.VideoFrame:
        return self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24"),
            format=self._format,
            dst_colorspace=_SCALER_MATRIX[self._colours.matrix],
            dst_color_range=ColorRange.MPEG,
            interpolation=ACCURATE,
            threads=1,
        )

    def _to_yuv(self, pixels: np.ndarray) -> av.VideoFrame:
        red_weight, blue_weight = LUMA_WEIGHTS[self._colours.matrix]
        black, luma_span, middle, chroma_span = _scale(self._depth, self._colours.full_range)
        values = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
        red, green, blue = values[..., 0], values[..., 1], values[..., 2]
        grey = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
        height, width, _ = pixels.shape
        frame = av.VideoFrame(width, height, self._format if self._left else _full_chroma(self._depth))
        largest = 2**self._depth - 1
        luma_plane, blue_plane, red_plane = _planes(frame, self._depth)
        luma_plane[:] = _rounded(grey * luma_span + black, largest)
        for plane, colour, weight in ((blue_plane, blue, blue_weight), (red_plane, red, red_weight)):
            chroma = (colour - grey) * (chroma_span / (2 * (1 - weight))) + middle
            plane[:] = _rounded(_halved(chroma) if self._left else chroma, largest)
        return frame


def _halved(chroma: np.ndarray) -> np.ndarray:
    """(H, W) to (⌈H/2⌉, ⌈W/2⌉): centred on every second column (weights 1 2 1), between two rows."""
    rows = np.pad(chroma, ((0, len(chroma) % 2), (0, 0)), mode="edge")
    rows = (rows[::2] + rows[1::2]) / 2
    columns = np.pad(rows, ((0, 0), (1, 1)), mode="edge")
    return (columns[:, :-2:2] + 2 * columns[:, 1:-1:2] + columns[:, 2::2]) / 4
