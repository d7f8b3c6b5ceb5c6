from pathlib import Path

import torch
from tests.evaluation.videos import moving, write, write_pictures

from dvface.evaluation.records import Record, Records, maker, state_of
from dvface.evaluation.results import WorstFrame

RECORD = Record(
    {"psnr": torch.tensor([30.0, torch.nan, torch.inf]), "fvd": torch.arange(12.0).view(2, 2, 3)},
    [0, 1, 5],
    [WorstFrame(5, "psnr", 30.0, "worst/a.jpg")],
)
MAKERS = {"psnr": maker("psnr", 1), "fvd": maker("fvd", 1)}


def test_what_was_measured_is_read_back(tmp_path: Path) -> None:
    Records(tmp_path).write("clip", RECORD, MAKERS)
    found = Records(tmp_path).read("clip", MAKERS)
    assert found is not None
    assert (found.numbers, found.worst) == (RECORD.numbers, RECORD.worst)
    for name, evidence in RECORD.evidence.items():
        assert torch.equal(found.evidence[name].nan_to_num(-1), evidence.nan_to_num(-1))


def test_what_another_configuration_measured_is_not_taken(tmp_path: Path) -> None:
    Records(tmp_path).write("clip", RECORD, MAKERS)
    changed = {**MAKERS, "psnr": maker("psnr", 2), "ssim": maker("ssim", 1)}
    found = Records(tmp_path).read("clip", changed)
    assert found is not None
    assert set(found.evidence) == {"fvd"}
    assert Records(tmp_path).read("clip", {"psnr": maker("psnr", 2)}) is None
    assert Records(tmp_path).read("other", MAKERS) is None


def test_a_file_cut_short_or_of_something_else_is_measured_anew(tmp_path: Path) -> None:
    Records(tmp_path).write("clip", RECORD, MAKERS)
    path = tmp_path / "clip.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-4], whole[:20], b"", b"\xff" * 64):
        path.write_bytes(damaged)
        assert Records(tmp_path).read("clip", MAKERS) is None


def test_a_changed_video_or_frame_is_noticed(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", moving(3))
    folder = write_pictures(tmp_path / "b", moving(3))
    before = state_of(video), state_of(folder)
    write(video, moving(4))
    (folder / "1.png").unlink()
    assert state_of(video) != before[0]
    assert state_of(folder) != before[1]
    assert state_of(None) == []
