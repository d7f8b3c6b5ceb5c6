from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
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
    Records(tmp_path).write("clip", "state", RECORD, MAKERS)
    found = Records(tmp_path).read("clip", "state", MAKERS)
    assert found is not None
    assert (found.numbers, found.worst) == (RECORD.numbers, RECORD.worst)
    for name, evidence in RECORD.evidence.items():
        assert torch.equal(found.evidence[name].nan_to_num(-1), evidence.nan_to_num(-1))


def test_what_another_configuration_measured_is_not_taken(tmp_path: Path) -> None:
    Records(tmp_path).write("clip", "state", RECORD, MAKERS)
    changed = {**MAKERS, "psnr": maker("psnr", 2), "ssim": maker("ssim", 1)}
    found = Records(tmp_path).read("clip", "state", changed)
    assert found is not None
    assert set(found.evidence) == {"fvd"}
    assert Records(tmp_path).read("clip", "state", {"psnr": maker("psnr", 2)}) is None
    assert Records(tmp_path).read("other", "state", MAKERS) is None


def test_a_file_cut_short_or_of_something_else_is_measured_anew(tmp_path: Path) -> None:
    Records(tmp_path).write("clip", "state", RECORD, MAKERS)
    path = tmp_path / "clip.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-4], whole[:20], b"", b"\xff" * 64):
        path.write_bytes(damaged)
        assert Records(tmp_path).read("clip", "state", MAKERS) is None
    Records(tmp_path).write("clip", "state", RECORD, MAKERS)
    with safe_open(path, "pt") as file:
        about = file.metadata()
    for foreign in ({"worst": '[{"frame": 1}]'}, {"worst": "null"}, {"numbers": "]"}, {"made_by": "[1]"}):
        save_file(dict(RECORD.evidence), path, {**about, **foreign})
        assert Records(tmp_path).read("clip", "state", MAKERS) is None


def test_what_measures_said_that_are_not_asked_now_is_kept_as_long_as_the_videos_are_the_same(tmp_path: Path) -> None:
    records, few = Records(tmp_path), {"psnr": MAKERS["psnr"]}
    records.write("clip", "state", RECORD, MAKERS)
    records.write("clip", "state", replace(RECORD, evidence={"psnr": torch.zeros(3)}), few)
    found = records.read("clip", "state", MAKERS)
    assert found is not None
    assert set(found.evidence) == {"psnr", "fvd"}
    assert found.evidence["psnr"].sum() == 0
    records.write("clip", "other", replace(RECORD, evidence={"psnr": torch.zeros(3)}), few)
    assert records.read("clip", "state", MAKERS) is None
    changed = records.read("clip", "other", MAKERS)
    assert changed is not None
    assert set(changed.evidence) == {"psnr"}


def test_a_changed_video_or_frame_is_noticed(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", moving(3))
    folder = write_pictures(tmp_path / "b", moving(3))
    before = state_of(video), state_of(folder)
    write(video, moving(4))
    (folder / "1.png").unlink()
    assert state_of(video) != before[0]
    assert state_of(folder) != before[1]
    assert state_of(None) == []
