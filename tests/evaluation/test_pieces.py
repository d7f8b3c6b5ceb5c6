import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.videos import moving, write, write_pictures

from dvface.errors import UserError
from dvface.evaluation.reading import AHEAD, decoded_ahead, pieces
from dvface.evaluation.synchrony import Run


def test_pieces_hold_every_frame_once_and_know_the_one_before(tmp_path: Path) -> None:
    frames = moving(37)
    path = write(tmp_path / "a.mp4", frames)
    found = list(pieces(path, write_pictures(tmp_path / "b", frames), [Run(0, 0, 37)]))
    assert [(piece.first, len(piece.restored), piece.joined) for piece in found] == [
        (0, 16, False),
        (16, 16, True),
        (32, 5, True),
    ]
    assert np.array_equal(np.concatenate([piece.restored for piece in found]), frames)
    assert np.array_equal(np.concatenate([piece.clean for piece in found if piece.clean is not None]), frames)
    first = found[0].segment(None, torch.device("cpu"))
    second = found[1].segment(first, torch.device("cpu"))
    assert (first.joined, second.joined, second.count) == (0, 1, 16)
    assert torch.equal(second.all("clean")[0], first.own("clean")[-1])


def test_runs_skip_frames_on_either_side_and_are_not_joined(tmp_path: Path) -> None:
    frames = moving(20)
    restored = write(tmp_path / "a.mp4", np.delete(frames, [7, 8], axis=0))
    clean = write(tmp_path / "b.mp4", frames)
    found = list(pieces(restored, clean, [Run(0, 0, 7), Run(7, 9, 11)]))
    assert [(piece.first, len(piece.restored), piece.joined) for piece in found] == [(0, 7, False), (7, 11, False)]
    for piece in found:
        assert np.array_equal(piece.restored, piece.clean)


def test_without_a_reference_there_is_no_clean_side(tmp_path: Path) -> None:
    (piece,) = pieces(write(tmp_path / "a.mp4", moving(3)), None, [Run(0, 0, 3)])
    assert piece.clean is None
    assert piece.segment(None, torch.device("cpu")).own("restored").shape == (3, 3, 48, 48)


def test_an_error_of_the_decoder_reaches_who_measures(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        list(pieces(tmp_path / "none.mp4", None, [Run(0, 0, 3)]))


def test_it_is_decoded_ahead_but_not_without_bound() -> None:
    made: list[int] = []
    enough = threading.Event()

    def source():
        for number in range(20):
            made.append(number)
            if number == AHEAD:
                enough.set()
            yield number

    items = decoded_ahead(source())
    assert next(items) == 0
    assert enough.wait(timeout=120)
    items.close()
    assert len(made) <= AHEAD + 2
    assert list(decoded_ahead(range(5))) == [0, 1, 2, 3, 4]
