"""The tables of `dvface benchmark parts=evaluation`: our measures against pyiqa's."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from dvface.config.compose import load, resolve
from dvface.perception.perceptual import BACKBONE_WEIGHTS, HEAD_WEIGHTS
from dvface.report.tables import Cell, Column, Table
from dvface.weights import WeightsMissing
from dvface.weights.catalogue import DISTS_CHANNELS

if TYPE_CHECKING:
    from dvface.benchmarks.evaluation import Timed


def evaluation_tables(frames: int, size: int, rounds: int) -> str:
    """Measures with a reference, one by one on frames in memory, and all of them from files.

    Args:
        frames: of the clip.
        size: its side in pixels.
        rounds: of each measurement.
    """
    from dvface.benchmarks import evaluation as benchmark

    names = list(benchmark.RIVALS)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        trunks, remark = _trunks(folder)
        trees = resolve(load("evaluate", [f"metrics=[{','.join(names)}]", "restored=x"]))["metrics"]
        for name in ("lpips_alex", "lpips_vgg"):
            trees[name]["network"]["weights"] = str(trunks[name.removeprefix("lpips_")])
        trees["dists"]["network"]["weights"] = str(trunks["vgg"])
        rivals: dict[str, benchmark.Rival] = {}
        if benchmark.has_rival():
            files = {Path(BACKBONE_WEIGHTS[net].folder_names[0]).name: path for net, path in trunks.items()}
            heads = {f"lpips_{net}": HEAD_WEIGHTS[net].find() for net in trunks} | {"dists": DISTS_CHANNELS.find()}
            with benchmark.same_weights(folder / "hub", files):
                rivals = benchmark.make_rivals(names, heads)
        restored, clean = benchmark.write_clip(folder, frames, size)
        videos = benchmark.read_tensor(restored), benchmark.read_tensor(clean)
        timed = benchmark.time_measures(trees, *videos, rivals, rounds)
        whole = benchmark.time_whole(trees, restored, clean, rivals, folder)
    rows: list[list[Cell]] = [
        [
            one.name,
            1e3 * one.ours,
            None if one.rival is None else 1e3 * one.rival,
            None if one.rival is None else one.rival / one.ours,
            100 * one.network / one.ours,
            one.difference,
        ]
        for one in timed
    ]
    network = sum(one.network for one in timed) * frames
    rows.append(["all, in memory", *_sums(timed), 100 * network / (sum(one.ours for one in timed) * frames), None])
    each = 1e3 / frames
    plain = None if whole.rival is None else whole.rival * each
    rows.append(
        [
            "all, from files",
            whole.ours * each,
            plain,
            None if plain is None else plain / (whole.ours * each),
            100 * network / whole.ours,
            None,
        ]
    )
    columns = [
        Column("measure"),
        Column("ours ms/frame", form=".1f"),
        Column("pyiqa ms/frame", form=".1f"),
        Column("ratio", form=".2f"),
        Column("network alone %", form=".0f"),
        Column("relative difference", form=".1e"),
    ]
    about = f"{frames} frames at {size}×{size}, {torch.get_num_threads()} threads{remark}"
    lines = [Table(columns, rows).text(), about]
    if whole.kind_rival is None:
        lines.append("pyiqa is not installed here (pip install 'dvface[iqa]'): there is no rival")
    else:
        kind = whole.kind_rival * each
        ratio = kind / (whole.ours * each)
        lines.append(f"from files, pyiqa with both videos decoded once: {kind:.1f} ms/frame, ratio {ratio:.2f}")
    lines.append("network alone: the share of our time that the networks' own forward passes take, the limit")
    return "\n".join(lines)


def _sums(timed: "Sequence[Timed]") -> list[Cell]:
    ours = sum(1e3 * one.ours for one in timed)
    theirs = sum(1e3 * one.rival for one in timed if one.rival is not None)
    return [ours, theirs, theirs / ours] if theirs else [ours, None, None]


def _trunks(folder: Path) -> tuple[dict[str, Path], str]:
    """ImageNet's AlexNet and VGG-16 where they are at hand, else of the same shape with random weights."""
    from torchvision.models import alexnet, vgg16

    trunks, random = {}, []
    for net, make in (("alex", alexnet), ("vgg", vgg16)):
        try:
            trunks[net] = BACKBONE_WEIGHTS[net].find()
        except WeightsMissing:
            torch.manual_seed(0)
            trunks[net] = folder / f"{net}.pth"
            torch.save(make(weights=None).state_dict(), trunks[net])
            random.append(BACKBONE_WEIGHTS[net].name)
    said = f"; random weights, which are as fast: {', '.join(random)}" if random else ""
    return trunks, said
