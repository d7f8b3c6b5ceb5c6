"""Two processes that train together equal one that trains on the same global batches."""

from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from tests.conftest import SMALLEST
from tests.training.curves import timeless_curves
from tests.training.processes import Command, once

from dvface.data.shards import Clip, write_shards
from dvface.training.run import train
from dvface.training.run_folder import RunFolder

STEPS = 4
STAGES = ("codebook", "prior", "restorer")
PLAIN = [f"~metrics.{name}" for name in ("ids_dlib", "stlpips_alex", "lpips_alex", "ewarp_raft_small", "ewarp_dis")]


@pytest.fixture(scope="module")
def four_shards(carphone: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips in four shards: whoever shares them out, every global batch of four is all of them."""
    folder = tmp_path_factory.mktemp("four")
    frames = carphone[:, 40:88, 60:124]
    clips = [
        Clip(f"clip-{n}", frames[9 * n : 9 * n + 9], Fraction(25), degraded=frames[9 * n : 9 * n + 9] // 2)
        for n in range(4)
    ]
    write_shards(folder, clips, clips_per_shard=1)
    return folder


@pytest.fixture(scope="module")
def runs(four_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, RunFolder]:
    """The whole chain by one process with batches of four, and by two with batches of two."""
    root = once(tmp_path_factory, "chains", partial(train_both, four_shards))
    return {processes: RunFolder(root / str(processes) / "tiny" / "run") for processes in (1, 2)}


def train_both(four_shards: Path, root: Path) -> None:
    shared = [
        *SMALLEST,
        "logger=none",
        "data=paired",
        f"data.source.train={four_shards}",
        f"data.source.held_out={four_shards}",
        "data.workers=0",
    ]
    # Codebooks begin with features drawn at random, and one process draws otherwise than two: both begin with these.
    begun = train([*shared, f"runs={root}", "stage=codebook", "stages.codebook.steps=1"], lambda line: None)
    commands = {}
    for processes in (1, 2):
        words = [
            "train",
            *shared,
            f"warm_start={begun}",
            *PLAIN,
            f"runs={root / str(processes)}",
            "name=run",
            *(f"stages.{stage}.batch_size={4 // processes}" for stage in STAGES),
            *(f"stages.{stage}.steps={STEPS}" for stage in STAGES),
            # So are the entries that replace dead ones.
            "codebook.spatial.dead_below=0.0",
            "codebook.temporal.dead_below=0.0",
            "trainer.log_every=1",
            "trainer.validate_every=2",
            f"trainer.devices={processes}",
            f"trainer.strategy={'ddp' if processes > 1 else 'auto'}",
        ]
        commands[processes] = Command(words, root / f"said-{processes}", processes)
    for command in commands.values():
        assert set(command.wait()) == {0}, command.words()


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_weights_and_numbers_are_equal(runs: dict[int, RunFolder], stage: str) -> None:
    one, two = (load_file(runs[processes].weights(stage)) for processes in (1, 2))
    assert one.keys() == two.keys()
    for name, value in one.items():
        # A bias before a normalisation has no gradient but rounding, of which Adam makes whole steps.
        if not name.endswith("bias"):
            np.testing.assert_allclose(value, two[name], rtol=1e-3, atol=1e-4, err_msg=name)
    alone, together = (timeless_curves(runs[processes], stage) for processes in (1, 2))
    assert alone.keys() == together.keys()
    for name, points in alone.items():
        if "perplexity" in name or "usage" in name:
            continue  # of a batch, and the batches of two processes are halves
        assert [step for step, _ in points] == [step for step, _ in together[name]]
        values = ([value for _, value in each] for each in (points, together[name]))
        np.testing.assert_allclose(*values, rtol=1e-4, err_msg=name)


@pytest.mark.slow
def test_both_end_with_the_same_measures(runs: dict[int, RunFolder]) -> None:
    assert runs[1].metrics.is_file()
    assert runs[2].metrics.is_file()
