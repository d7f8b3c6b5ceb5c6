"""What a run was made with: versions of the software and the state of the source tree."""

import hashlib
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dvface.files import sha256

PACKAGES = (
    "dvface",
    "torch",
    "torchvision",
    "lightning",
    "diffusers",
    "hydra-core",
    "omegaconf",
    "torchmetrics",
    "webdataset",
    "vector-quantize-pytorch",
    "av",
    "opencv-python-headless",
    "numpy",
    "mlflow",
)
NOT_A_CHECKOUT = "not a git checkout"


def provenance() -> dict[str, str]:
    """Names to texts: Python, platform, processors, package versions, git commit and whether it is changed.

    Versions are read from the installed metadata; no package is imported.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": str(os.cpu_count()),
        **{package: _version(package) for package in PACKAGES},
        **source_state(Path(__file__).parent),
    }


def source_digest() -> str:
    """SHA-256 of this package's own code; two that are equal do the same with the same packages."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0{sha256(path)}\0".encode())
    return digest.hexdigest()


def source_state(folder: Path) -> dict[str, str]:
    """``git_commit`` and ``git_dirty`` (``true`` or ``false``) of the checkout that tracks ``folder``.

    Both say so where git is absent or ``folder`` holds no tracked file: an installation inside another
    project's checkout, say in its ``.venv``, must not pass for that project's commit.
    """
    git = shutil.which("git")
    if git is None or not _git(git, folder, "ls-files"):
        return {"git_commit": NOT_A_CHECKOUT, "git_dirty": NOT_A_CHECKOUT}
    return {
        "git_commit": _git(git, folder, "rev-parse", "--verify", "HEAD"),
        "git_dirty": "true" if _git(git, folder, "status", "--porcelain") else "false",
    }


def _git(git: str, folder: Path, *arguments: str) -> str:
    """What git prints; nothing where it refuses, as outside a checkout."""
    command = [git, "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
