import platform
import shutil
import subprocess

import numpy
import pytest

from dvface.tracking.environment import NOT_A_CHECKOUT, provenance, source_state


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
    assert source_state(checkout) == {"git_commit": commit, "git_dirty": "false"}
    (checkout.parent / "config.yaml").write_text("changed")
    assert source_state(checkout) == {"git_commit": commit, "git_dirty": "true"}


def test_an_installation_inside_another_project_is_not_that_project_s_commit(checkout):
    installed = checkout.parent / ".venv" / "site-packages" / "dvface"
    installed.mkdir(parents=True)
    (installed / "module.py").write_text("")
    assert source_state(installed)["git_commit"] == NOT_A_CHECKOUT


def test_no_checkout_and_no_git_are_said_in_words(tmp_path, monkeypatch):
    assert source_state(tmp_path)["git_commit"] == NOT_A_CHECKOUT
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_state(tmp_path)["git_dirty"] == NOT_A_CHECKOUT


def test_versions_are_those_installed():
    found = provenance()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == numpy.__version__
    assert all(isinstance(value, str) and value for value in found.values())
