import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dvface.evaluation.clip import look
from dvface.evaluation.reading import Piece
from dvface.evaluation.rows import LEAST_ROWS, EvidenceRows, Rows
from dvface.metrics.flicker import FrameDifferenceError
from dvface.metrics.psnr import PSNR
from dvface.metrics.segment import FRAMES
from dvface.metrics.suite import MetricSuite


@pytest.mark.parametrize("lengths", [[3], [0, 2, 0, 5], [LEAST_ROWS, 1, 2 * LEAST_ROWS, 1, 4 * LEAST_ROWS + 1]])
def test_rows_are_what_concatenation_gives(lengths: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(length, 2, 3, generator=generator) for length in lengths]
    rows = Rows()
    for part in parts:
        rows.add(part)
    assert torch.equal(rows.whole(), torch.cat(parts))


def test_rows_of_several_types_lose_no_digit() -> None:
    rows = Rows()
    for part in (torch.tensor([1.0]), torch.tensor([1 / 3], dtype=torch.float64), torch.tensor([2.0])):
        rows.add(part)
    assert rows.whole().tolist() == [1.0, 1 / 3, 2.0]


def test_rows_do_not_change_with_what_they_were_made_from_nor_with_later_rows() -> None:
    rows, part = Rows(), torch.zeros(2)
    rows.add(part)
    before = rows.whole()
    part += 1
    rows.add(part)
    assert (before.tolist(), rows.whole().tolist()) == ([0.0, 0.0], [0.0, 0.0, 1.0, 1.0])


def test_rows_of_another_shape_are_refused_rather_than_repeated() -> None:
    rows = Rows()
    rows.add(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"shape \(1,\) behind rows of \(3,\)"):
        rows.add(torch.zeros(2, 1))
    with pytest.raises(ValueError, match="nothing"):
        Rows().whole()


def test_evidence_is_collected_by_measure() -> None:
    evidence = EvidenceRows()
    evidence.add({"psnr": torch.tensor([1.0, 2.0]), "fid": torch.zeros(0, 2, 4)})
    evidence.add({"psnr": torch.tensor([3.0]), "fid": torch.ones(1, 2, 4)})
    whole = evidence.whole()
    assert list(whole) == ["psnr", "fid"]
    assert whole["psnr"].tolist() == [1, 2, 3]
    assert torch.equal(whole["fid"], torch.ones(1, 2, 4))


def test_a_long_clip_leaves_no_tensor_a_segment_in_memory_and_every_number(tmp_path: Path) -> None:
    # small tensors that are kept between large ones keep the allocator from using the large ones' places again
    pieces, early, late = 24, 6, 23
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 200, (FRAMES, 16, 16, 3), dtype=np.uint8)

    def clip() -> Iterator[Piece]:
        for number in range(pieces):
            yield Piece(number * FRAMES, clean + np.uint8(1 + number % 3), clean, joined=number > 0)

    alive: list[int] = []

    def advance(frames: int) -> None:
        done.append(frames)
        if len(done) in (early, late):
            alive.append(sum(type(one) is torch.Tensor for one in gc.get_objects()))

    done: list[int] = []
    suite = MetricSuite({"psnr": PSNR, "frame_difference": FrameDifferenceError})
    looked = look(suite, ["psnr", "frame_difference"], clip(), torch.device("cpu"), tmp_path, "clip", advance)
    assert alive[1] <= alive[0]
    assert looked.numbers == list(range(pieces * FRAMES))
    # by hand: 20 log10(255 / levels); a step of as many levels wherever the next piece begins
    levels = np.repeat(1 + np.arange(pieces) % 3, FRAMES)
    assert np.allclose(looked.evidence["psnr"], 20 * np.log10(255 / levels), atol=1e-3)
    steps = np.abs(np.diff(levels)) / 255
    assert looked.evidence["frame_difference"][0].isnan()
    assert np.allclose(looked.evidence["frame_difference"][1:], steps, atol=1e-6)
