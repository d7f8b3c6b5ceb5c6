"""What a run is made with: the source tree, versions of the software, and the machine."""

import hashlib
import os
import platform
import re
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


def versions() -> dict[str, str]:
    """Python and the packages that decide numbers, read from the installed metadata; none is imported."""
    return {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}}


def hardware() -> dict[str, str]:
    """Operating system, processor, cores that this process may use, memory, and GPUs with their memory."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": f"{usable} of {os.cpu_count()}",
        "memory": f"{memory / 2**30:.1f} GiB",
        "gpus": ", ".join(_gpus()) or "none",
    }


def source_digest() -> str:
    """SHA-256 of this package's own code; two that are equal do the same with the same packages."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0{sha256(path)}\0".encode())
    return digest.hexdigest()


def source_state(folder: Path) -> tuple[str, bool | None]:
    """Commit of the checkout that tracks ``folder``, and whether anything in it differs from that commit.

    (`NOT_A_CHECKOUT`, None) where git is absent or ``folder`` holds no tracked file: an installation inside another
    project's checkout, say in its ``.venv``, must not pass for that project's commit.
    """
    git = shutil.which("git")
    if git is None or not _git(git, folder, "ls-files"):
        return NOT_A_CHECKOUT, None
    return _git(git, folder, "rev-parse", "--verify", "HEAD"), bool(_git(git, folder, "status", "--porcelain"))


def _git(git: str, folder: Path, *arguments: str) -> str:
    """What git prints; nothing where it refuses, as outside a checkout."""
    command = [git, "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The processor's name; Python itself knows it on few systems."""
    listed = Path("/proc/cpuinfo")
    names = re.search(r"^model name\s*:\s*(.+)$", listed.read_text(), re.MULTILINE) if listed.is_file() else None
    return names[1].strip() if names else platform.processor() or platform.machine()


def _gpus() -> list[str]:
    import torch  # a run has it imported long before

    found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return [f"{gpu.name} {gpu.total_memory / 2**30:.0f} GiB" for gpu in found]
