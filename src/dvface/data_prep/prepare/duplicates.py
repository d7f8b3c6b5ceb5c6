"""The same footage under two names, found by perceptual hashes."""

from collections.abc import Sequence

import cv2
import numpy as np

from dvface.data_prep.prepare.record import ClipRecord

KEPT = 0.7  # of the crop's side, around its middle: the face, not the background that several clips share
SIDE = 64
WAVES = slice(2, 10)  # periods of the cosines: finer than a face's light and shade, coarser than codecs spoil
ROWS, COLUMNS = 32, 4096  # clips compared with earlier ones at once: what a processor's cache holds


def prints(frames: np.ndarray) -> tuple[str, ...]:
    """Perceptual hashes of the first, the middle and the last frame.

    The signs of 8 × 8 coefficients of a discrete cosine transform, as in Zauner's pHash (2010), but against 0 and not
    the median, of the middle of the crop, and without the lowest waves, which all faces have alike. Brightness and
    contrast do not change a sign.

    On 146 real clips that were found and cropped anew (largest of the three distances): copies at half the size in
    x264 at crf 30 differ by at most 6 bits, brightened ones by at most 5; other clips of the same person in the same
    video by at least 5, of another person by at least 17. A copy that begins a frame later differs by 4 in the median
    and up to 16 where the head moves fast.

    Args:
        frames: (T, S, S, 3) uint8 RGB, aligned.

    Returns:
        Three times 16 hexadecimal digits.
    """
    return tuple(_print(frames[place]) for place in (0, len(frames) // 2, -1))


def duplicates(records: Sequence[ClipRecord], most: int) -> dict[str, str]:
    """Which clips repeat another one.

    In the order of source and key, a clip repeats the first earlier clip of another source whose prints all lie within
    ``most`` bits, or what that one repeats. Clips of one source never count against each other: those of a person who
    sits very still are as near as copies are. Not found, therefore, is footage that is repeated within one file; nor
    are mirrored copies, and copies cut into clips at other frames are found only while the head is calm.

    Args:
        records: the clips to compare; those without prints repeat nothing.
        most: Hamming distance, 0 to 64, that every print must keep; 5 suits `prints`.

    Returns:
        Key of each duplicate -> key of the clip that stays.
    """
    ordered = sorted((record for record in records if record.prints), key=lambda record: (record.source, record.key))
    if not ordered:
        return {}
    codes = np.array([[int(text, 16) for text in record.prints] for record in ordered], np.uint64)
    sources = np.unique([record.source for record in ordered], return_inverse=True)[1]
    repeats: dict[int, int] = {}
    for start in range(0, len(ordered), ROWS):
        rows, columns = _near(codes, sources, start, most)
        again, firsts = np.unique(rows, return_index=True)
        for row, column in zip(again.tolist(), columns[firsts].tolist(), strict=True):
            repeats[row] = repeats.get(column, column)
    return {ordered[row].key: ordered[first].key for row, first in repeats.items()}


def _near(codes: np.ndarray, sources: np.ndarray, start: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The clips from ``start`` on and, in order, the earlier ones of other sources that are near each."""
    pairs = [np.empty((2, 0), int)]
    for left in range(0, start + ROWS, COLUMNS):
        # the first print alone rules nearly all pairs out
        differing = codes[start : start + ROWS, 0, None] ^ codes[left : min(left + COLUMNS, start + ROWS), 0]
        rows, columns = np.nonzero(np.bitwise_count(differing) <= most)
        rows, columns = rows + start, columns + left
        earlier = (columns < rows) & (sources[columns] != sources[rows])
        rows, columns = rows[earlier], columns[earlier]
        near = (np.bitwise_count(codes[rows] ^ codes[columns]) <= most).all(axis=1)
        pairs.append(np.stack([rows[near], columns[near]]))
    rows, columns = np.concatenate(pairs, axis=1)
    return rows, columns


def _print(frame: np.ndarray) -> str:
    border = int(frame.shape[0] * (1 - KEPT) / 2)
    inner = frame[border : frame.shape[0] - border, border : frame.shape[1] - border]
    grey = cv2.cvtColor(np.ascontiguousarray(inner), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    signs = cv2.dct(small)[WAVES, WAVES] > 0
    return np.packbits(signs).tobytes().hex()
