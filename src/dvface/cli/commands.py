"""What each command does once its words are parsed."""

import json
from collections.abc import Sequence
from pathlib import Path

from dvface.config.compose import difference, groups, load, resolve
from dvface.config.schema import CompareSettings, EvaluateSettings, RestoreSettings, check, validated
from dvface.errors import UserError, nearest


def train(overrides: Sequence[str]) -> None:
    """`dvface train`: a new run, or with ``resume=RUN`` an old one."""
    from dvface.training.run import new_run, resume_run

    resume = [text.removeprefix("resume=") for text in overrides if text.startswith("resume=")]
    if resume:
        if len(overrides) > 1:
            raise UserError("resume=RUN takes no other setting: the run keeps the configuration it was started with")
        path = resume_run(Path(resume[0]), print)
    else:
        path = new_run(overrides, print)
    print(f"run: {path}")


def restore(overrides: Sequence[str]) -> None:
    """`dvface restore`: a video in, a video out."""
    from dvface.inference.restore import restore_file
    from dvface.inference.windows import WindowedRestorer
    from dvface.models.restorer import CONFIG_FILE, Restorer

    settings = validated(RestoreSettings, resolve(load("restore", overrides)))
    checkpoint = Path(settings.checkpoint) if settings.checkpoint else newest_model(Path(settings.runs))
    model = Restorer.from_pretrained(checkpoint if (checkpoint / CONFIG_FILE).is_file() else checkpoint / "model")
    try:
        restorer = WindowedRestorer(model, settings.window, settings.overlap)
    except ValueError as error:
        raise UserError(f"window={settings.window} overlap={settings.overlap}: {error}") from error
    frames = restore_file(restorer, settings.input, settings.output)
    print(f"model: {checkpoint}")
    print(f"restored {frames} frames: {settings.output}")


def newest_model(runs: Path) -> Path:
    """The model of the newest finished run.

    Raises:
        UserError: no run has one.
    """
    finished = sorted(runs.glob("*/*/metrics.json"), key=lambda path: path.stat().st_mtime)
    if not finished:
        raise UserError(f"no trained model below {runs}; run: dvface train, or give checkpoint=FOLDER")
    return finished[-1].parent / "model"


def evaluate(overrides: Sequence[str]) -> None:
    """`dvface evaluate`: measures of restored videos against clean ones."""
    from dvface.evaluation.files import evaluate_files

    settings = validated(EvaluateSettings, resolve(load("evaluate", overrides)))
    out = Path(settings.out)
    table, remarks = evaluate_files(Path(settings.restored), Path(settings.reference), settings.metrics, out)
    print(table)
    for remark in remarks:
        print(f"left out: {remark}")
    print(f"wrote: {out / 'metrics.json'}")


def compare(overrides: Sequence[str]) -> None:
    """`dvface compare`: the table of finished runs."""
    from dvface.tracking.compare import comparison_table, write_comparison
    from dvface.tracking.store import sqlite_store

    settings = validated(CompareSettings, resolve(load("compare", overrides)))
    runs = Path(settings.runs)
    if not (runs / "mlflow.db").is_file():
        raise UserError(f"{runs} has no tracking store yet; run: dvface train")
    table = comparison_table(sqlite_store(runs).runs(), measures=settings.measures, footage=settings.footage)
    print(table.text())
    write_comparison(table, Path(settings.out))
    print(f"wrote: {settings.out}")


def interface(port: int, runs: Path) -> None:
    """`dvface ui`: MLflow's page on this machine."""
    import subprocess
    import sys

    from dvface.tracking.store import sqlite_store

    store = sqlite_store(runs)
    store.initialise()
    print(f"MLflow: http://127.0.0.1:{port}  (Ctrl-C ends it)")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store.uri, "--port", str(port)]
    subprocess.run(command, check=False)  # noqa: S603 - a list of our own words, no shell


def show_config(command: str, overrides: Sequence[str]) -> None:
    """`dvface config show`: the composed configuration."""
    from omegaconf import OmegaConf

    print(OmegaConf.to_yaml(load(command, overrides)), end="")


def validate_config(overrides: Sequence[str]) -> None:
    """`dvface config validate`: check a training configuration and do nothing."""
    check(resolve(load("train", overrides)))
    print("valid")


def diff_config(one: str, other: str) -> None:
    """`dvface config diff`: what two experiments differ in."""
    changed = difference(load("train", [f"exp={one}"]), load("train", [f"exp={other}"]))
    for key, (left, right) in changed.items():
        print(f"{key}: {left} -> {right}")


def list_config(group: str | None) -> None:
    """`dvface config list`: groups and their variants."""
    known = groups()
    if group is not None and group not in known:
        raise UserError(f"there is no group '{group}'{nearest(group, known)} (one of: {', '.join(known)})")
    for name, variants in known.items():
        if group in (None, name):
            print(f"{name}: {', '.join(variants)}")


def summary(overrides: Sequence[str]) -> None:
    """`dvface summary`: parameters by part."""
    import torch

    from dvface.config.build import build

    as_json = "json=true" in overrides
    tree = load("train", [text for text in overrides if not text.startswith("json=")])
    settings = check(resolve(tree))
    with torch.device("meta"):
        counts = build(settings.model).parameter_counts()
    total = counts.pop("total")
    if as_json:
        print(json.dumps({"exp": settings.exp, "parameters": counts, "total_parameters": total}))
        return
    for part, count in counts.items():
        print(f"{part:<12} {count:>14,}")
    print(f"{'total':<12} {total:>14,}")


def verify(folder: Path) -> int:
    """`dvface verify`: a data set against its manifest; returns the number of faults."""
    from dvface.data.shards import read_manifest
    from dvface.data.shards import verify as check_shards

    faults = check_shards(folder)
    for fault in faults:
        print(fault)
    print(f"{len(read_manifest(folder))} clips, {len(faults)} faults")
    return len(faults)


def doctor() -> int:
    """`dvface doctor`: what this machine has; returns the number of things that are wrong."""
    from dvface.cli.doctor import examine

    findings = examine()
    for finding in findings:
        print(finding.line())
    wrong = sum(finding.state == "wrong" for finding in findings)
    print("all that dvface needs is here" if not wrong else f"{wrong} things to mend")
    return wrong
