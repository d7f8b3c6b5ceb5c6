"""What each command does once its words are parsed."""

import json
from collections.abc import Sequence
from pathlib import Path

from dvface.cli.words import own_only, own_settings, whole_number, yes_or_no
from dvface.config.compose import difference, groups, load, resolve
from dvface.config.schema import (
    DegradeSettings,
    PrepareSettings,
    check,
    check_arguments,
    validated,
)
from dvface.errors import UserError, nearest
from dvface.weights import WeightsMissing


def train(overrides: Sequence[str]) -> None:
    """`dvface train`: a new run, the same words' old one, or with ``resume=RUN`` that one."""
    from dvface.training.launch import joined_run
    from dvface.training.run import help_run, resume_run
    from dvface.training.run import train as work

    if (joined := joined_run()) is not None:
        help_run(Path(joined))
        return
    resume = [text.removeprefix("resume=") for text in overrides if text.startswith("resume=")]
    if resume:
        if len(overrides) > 1:
            raise UserError(
                "resume=RUN takes no other setting: the run keeps the configuration it was started with; "
                "to go on under others say fork=RUN"
            )
        path: Path | None = resume_run(Path(resume[0]), print)
    else:
        path = work(overrides, print)
    if path is not None:
        print(f"run: {path}")


def sweep(overrides: Sequence[str]) -> int:
    """`dvface sweep`: one training a combination; returns the exit code."""
    from dvface.sweeps.sweep import sweep as work

    return work(overrides, lambda line: print(line, flush=True))


def study(overrides: Sequence[str]) -> int:
    """`dvface study`: every run of a study; returns the exit code."""
    from dvface.studies.run import study as work

    return work(overrides, lambda line: print(line, flush=True))


def evaluate(overrides: Sequence[str]) -> None:
    """`dvface evaluate`: measures of restored videos against clean ones."""
    from dvface.cli.evaluate import evaluate as work

    work(overrides)


def prepare(overrides: Sequence[str]) -> None:
    """`dvface prepare`: raw footage in, shards of aligned face clips out."""
    from dvface.data_prep.prepare.prepare import prepare as work

    work(validated(PrepareSettings, resolve(load("prepare", overrides))), lambda line: print(line, flush=True))


def degrade(overrides: Sequence[str]) -> None:
    """`dvface degrade`: clean footage in, a paired data set out."""
    from dvface.data_prep.degrade import degrade as work

    settings = validated(DegradeSettings, resolve(load("degrade", _with_recipe(overrides))))
    work(settings, lambda line: print(line, flush=True))


def testset(overrides: Sequence[str]) -> None:
    """`dvface testset`: a known test set's files to a folder of videos."""
    from dvface.data_prep.testsets.build import build_testset
    from dvface.data_prep.testsets.settings import TestsetSettings

    settings = validated(TestsetSettings, resolve(load("testset", _with_recipe(overrides))))
    build_testset(settings, lambda line: print(line, flush=True))


def _with_recipe(overrides: Sequence[str]) -> list[str]:
    """``recipe=NAME`` is short for ``degradation=NAME``."""
    return [f"degradation={text.removeprefix('recipe=')}" if text.startswith("recipe=") else text for text in overrides]


def compare(overrides: Sequence[str]) -> None:
    """`dvface compare`: runs side by side, tested against a baseline."""
    from dvface.comparison.compare import compare as work
    from dvface.comparison.settings import CompareSettings

    out = work(validated(CompareSettings, resolve(load("compare", overrides))), print)
    print(f"wrote: {out / 'comparison.html'}")


def interface(port: int, runs: Path) -> None:
    """`dvface ui`: MLflow's page on this machine."""
    import subprocess
    import sys

    from dvface.tracking.store import SqliteStore

    store = SqliteStore(runs)
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
    from dvface.training.checks import check_model

    try:
        check_model(check(resolve(load("train", overrides))))
    except WeightsMissing as error:
        print(f"valid, but on this machine {error}")
    else:
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


def export(overrides: Sequence[str]) -> None:
    """`dvface export`: a training checkpoint to a model folder."""
    from typing import get_args

    from dvface.training.export import Which
    from dvface.training.export import export as work

    own = own_only(overrides, {"checkpoint": None, "output": None, "weights": "auto"})
    choices: dict[str, Which | None] = {"auto": None, **{name: name for name in get_args(Which)}}
    if own["weights"] not in choices:
        raise UserError(f"weights={own['weights']}: one of {', '.join(choices)}{nearest(own['weights'], choices)}")
    taken = work(Path(own["checkpoint"]), Path(own["output"]), choices[own["weights"]])
    print(f"took the {taken}")
    print(f"wrote: {own['output']}")


def text(overrides: Sequence[str]) -> None:
    """`dvface text`: the empty prompt's embedding, to travel with checkpoints."""
    from dvface.models.text_embedding import embed_text, write_embedding

    own = own_only(overrides, {"source": None, "output": None, "prompt": "", "tokens": "512"})
    embedding = embed_text(own["source"], own["prompt"], whole_number("tokens", own["tokens"]))
    write_embedding(Path(own["output"]), embedding)
    print(f"wrote: {own['output']} {tuple(embedding.shape)}")
    print(f"use it with: text=stored pretrained/text=file pretrained.text.path={own['output']}")


def summary(overrides: Sequence[str]) -> None:
    """`dvface summary`: parameters and operations by part, on the meta device."""
    import torch

    from dvface.config.build import build
    from dvface.models.restorer import Restorer
    from dvface.models.summary import summarise
    from dvface.report.tables import Column, Table

    own, others = own_settings(overrides, {"json": "false", "frames": "17", "height": "512", "width": "512"})
    frames, height, width = (whole_number(name, own[name]) for name in ("frames", "height", "width"))
    tree = load("train", others)
    # Only the model: a summary needs neither data nor a place for runs.
    specification = resolve(tree.model)
    check_arguments(specification)
    with torch.device("meta"):
        model: Restorer = build(specification)
    try:
        found = summarise(model, frames, height, width)
    except (ValueError, RuntimeError, ArithmeticError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"frames={frames} height={height} width={width}: {first}") from error
    if yes_or_no("json", own["json"]):
        print(
            json.dumps(
                {
                    "exp": tree.exp,
                    "parameters": found.parameters,
                    "total_parameters": found.total_parameters,
                    "added_parameters": found.added_parameters,
                    "clip": [frames, height, width],
                    "flops": found.flops,
                    "total_flops": found.total_flops,
                }
            )
        )
        return
    rows = [
        [name, found.parameters.get(name), found.flops[name] / 1e9 if name in found.flops else None]
        for name in dict.fromkeys([*found.parameters, *found.flops])
    ]
    rows.append(["total", found.total_parameters, found.total_flops / 1e9])
    columns = [Column("part"), Column("parameters", form=",d"), Column("GFLOPs", form=",.1f")]
    print(Table(columns, rows).text())
    print(f"GFLOPs for one clip of {frames} frames at {width}×{height}; another: frames=… height=… width=…")
    print(f"added to backbone and autoencoder (prior, fusion, refinement): {found.added_parameters / 1e6:.2f}M")


def benchmark(overrides: Sequence[str]) -> None:
    """`dvface benchmark`: how fast recipes, preparation, loading, training, measuring and restoring are."""
    from dvface.cli.benchmark import degradation_table, loading_tables, preparation_tables

    usual = ("degradation", "prepare", "loading", "training", "evaluation", "restoring")
    parts = (*usual, "autoencoders", "full_size")  # minutes each, and a GPU for the last: on demand
    own = own_only(
        overrides,
        {
            "parts": ",".join(usual),
            "recipes": "vfhq,dove",
            "clips": "16",
            "frames": "17",
            "size": "512",
            "seed": "0",
            "input": "",
            "detector": "best",
            "rounds": "5",
            "exp": "",
            "steps": "40",
            "batches": "2000",
            "checkpoint": "small",
            "sizes": "33x720x1280,81x512x512",
        },
    )
    clips, frames, size, rounds, steps, batches = (
        whole_number(name, own[name]) for name in ("clips", "frames", "size", "rounds", "steps", "batches")
    )
    marks = sorted({max(1, round(batches * share)) for share in (0.1, 0.25, 0.5, 0.75, 1)})
    for part in own["parts"].split(","):
        match part:
            case "degradation":
                print(degradation_table(own["recipes"].split(","), clips, frames, size, int(own["seed"])))
            case "prepare":
                print(preparation_tables(own["input"], own["detector"]))
            case "loading":
                print(loading_tables(frames, size, rounds, marks, int(own["seed"])))
            case "training":
                from dvface.cli.benchmark_training import training_tables

                print(training_tables([f"exp={own['exp'] or 'tiny'}"], steps, marks))
            case "evaluation":
                from dvface.cli.benchmark_evaluation import evaluation_tables

                print(evaluation_tables(frames, size, rounds))
            case "restoring":
                from dvface.cli.benchmark_restoring import restoring_table

                print(restoring_table(own["checkpoint"], frames))
            case "autoencoders":
                from dvface.cli.benchmark_networks import autoencoder_table

                print(autoencoder_table(frames, size, rounds, int(own["seed"])))
            case "full_size":
                from dvface.cli.benchmark_networks import full_size_table

                print(full_size_table(own["exp"] or "dvface", own["sizes"], rounds))
            case _:
                raise UserError(f"parts={part}: one of {', '.join(parts)}{nearest(part, parts)}")


def verify(folder: Path) -> int:
    """`dvface verify`: a data set, or each split of one, against its manifest; returns the number of faults."""
    from dvface.data.shards import data_sets, read_manifest
    from dvface.data.shards import verify as check_shards

    total = 0
    for one in data_sets(folder):
        faults = check_shards(one)
        for fault in faults:
            print(fault)
        where = "" if one == folder else f"{one.relative_to(folder)}: "
        print(f"{where}{len(read_manifest(one))} clips, {len(faults)} faults")
        total += len(faults)
    return total


def weights(overrides: Sequence[str]) -> int:
    """`dvface weights`: pretrained files, listed, verified or fetched; returns the number of things that are wrong."""
    from dvface.cli.weights import fetch_networks, list_networks

    own = own_only(overrides, {"fetch": "", "verify": "false", "json": "false"})
    verify, as_json = (yes_or_no(key, own[key]) for key in ("verify", "json"))
    if not own["fetch"]:
        return list_networks(as_json=as_json, verify=verify)
    if len(overrides) > 1:
        raise UserError("fetch=NAME takes no other setting; what is fetched is checked anyway")
    return fetch_networks(own["fetch"])


def doctor() -> int:
    """`dvface doctor`: what this machine has; returns the number of things that are wrong."""
    from dvface.cli.doctor import examine

    findings = examine()
    for finding in findings:
        print(finding.line())
    wrong = sum(finding.state == "wrong" for finding in findings)
    print("all that dvface needs is here" if not wrong else f"{wrong} things to mend")
    return wrong
