import os
import platform
import shutil
import subprocess

import numpy
import pytest
import torch

from dvface.tracking.environment import NOT_A_CHECKOUT, hardware, source_state, versions


def git(folder, *arguments) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    package = tmp_path / "project" / "src"
    package.mkdir(parents=True)
    (package / "module.py").write_text("")
    git(package.parent, "init")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-m", "first")
    return package


def test_a_checkout_gives_its_commit_and_whether_it_is_changed(checkout):
    commit = git(checkout, "rev-parse", "HEAD")
    assert source_state(checkout) == (commit, False)
    (checkout.parent / "config.yaml").write_text("changed")
    assert source_state(checkout) == (commit, True)


def test_an_installation_inside_another_project_is_not_that_project_s_commit(checkout):
    installed = checkout.parent / ".venv" / "site-packages" / "dvface"
    installed.mkdir(parents=True)
    (installed / "module.py").write_text("")
    assert source_state(installed) == (NOT_A_CHECKOUT, None)


def test_no_checkout_and_no_git_are_said_in_words(tmp_path, monkeypatch):
    assert source_state(tmp_path) == (NOT_A_CHECKOUT, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_state(tmp_path) == (NOT_A_CHECKOUT, None)


def test_versions_are_those_installed():
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == numpy.__version__
    assert all(isinstance(value, str) and value for value in found.values())


def test_the_machine_is_described(monkeypatch):
    found = hardware()
    assert found["cores"].endswith(f"of {os.cpu_count()}")
    assert float(found["memory"].removesuffix(" GiB")) > 0.5
    assert found["processor"] not in ("", "none")
    assert (found["gpus"] == "none") == (not torch.cuda.is_available())
    gpu = type("Properties", (), {"name": "H200", "total_memory": 141 * 2**30})
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: gpu)
    assert hardware()["gpus"] == "H200 141 GiB, H200 141 GiB"
