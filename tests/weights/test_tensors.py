"""Reading weights files: tensors alone, and never code."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dvface.errors import UserError
from dvface.weights import read_tensors


class Touches:
    """Would make a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("ending", ["pth", "pt", "safetensors"])
def test_named_tensors_come_back(ending, tmp_path: Path) -> None:
    tensors = {"a.weight": torch.randn(2, 3), "b": torch.arange(4)}
    path = tmp_path / f"file.{ending}"
    save_file(tensors, path) if ending == "safetensors" else torch.save(tensors, path)
    found = read_tensors(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    torch.save({"a": Touches(tmp_path / "ran")}, tmp_path / "file.pth")
    with pytest.raises(UserError, match=r"file\.pth cannot be read"):
        read_tensors(tmp_path / "file.pth")
    assert not (tmp_path / "ran").exists()


def test_a_file_with_more_than_tensors_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    torch.save({"state": {"a": torch.zeros(1)}, "epoch": 3}, tmp_path / "file.pth")
    with pytest.raises(UserError, match="holds more than named tensors"):
        read_tensors(tmp_path / "file.pth")
    with pytest.raises(UserError, match=r"nowhere\.pth does not exist"):
        read_tensors(tmp_path / "nowhere.pth")
