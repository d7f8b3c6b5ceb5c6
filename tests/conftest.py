"""What several test folders share: the smallest real system, a small data set of real footage."""

import os
import signal
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

if sys.dont_write_bytecode and sys.prefix != sys.base_prefix:
    # else each of the many processes that tests start would compile all that it imports: seconds, over and over
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = os.path.join(sys.prefix, "bytecode")
    sys.dont_write_bytecode = False

import numpy as np
import pytest
import torch

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()  # what the developer fetched must not decide what is missing

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import TrainSettings, check
from dvface.data.footage import CARPHONE, read_packaged
from dvface.data.shards import Clip, write_shards
from dvface.models.restorer import Restorer

torch.set_num_threads(1)  # two processes share the cores
# under nohup or in the background Ctrl-C is ignored, by children too, and tests that press it would wait
signal.signal(signal.SIGINT, signal.default_int_handler)

SMALLEST = [
    "size.token_dim=32",
    "size.prior_dim=16",
    "size.entries=16",
    "backbone.heads=2",
    "backbone.layers=2",
    "backbone.feed_forward_dim=32",
    "text.dim=8",
    "prior.encoder.channels=[8,8,8]",
    "fusion.spatial.width=16",
    "fusion.spatial.heads=2",
    "refinement.channels=8",
    "refinement.blocks=1",
    "stages.codebook.module.decoder.channels=[8,8,8]",
    *(
        f"stages.{stage}.{key}"
        for stage in ("codebook", "prior", "restorer")
        for key in ("batch_size=2", "crop=32", "frames=5")
    ),
]
"""Overrides that make every part as small as it can be; the code paths are those of the full system."""


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def smallest_settings() -> TrainSettings:
    return check(
        resolve(load("train", [*SMALLEST, "prior.temporal.predictor.depth=1", "prior.spatial.predictor.depth=1"]))
    )


@pytest.fixture
def smallest_model(smallest_settings: TrainSettings) -> Restorer:
    return build(smallest_settings.model)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking store with its tables and no run, to be copied: making the tables takes MLflow many seconds."""
    from dvface.tracking.store import SqliteStore

    folder = tmp_path_factory.mktemp("store")
    SqliteStore(folder).initialise()
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def carphone() -> np.ndarray:
    """(120, 144, 176, 3) uint8: real footage that the set-up installs."""
    return read_packaged(CARPHONE)


@pytest.fixture(scope="session")
def small_shards(carphone: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six real clips of 9 frames, 48×64, in three shards."""
    folder = tmp_path_factory.mktemp("shards")
    clips = [
        Clip(f"clip-{number}", carphone[9 * number : 9 * number + 9, 40:88, 60:124], Fraction(30000, 1001))
        for number in range(6)
    ]
    write_shards(folder, clips, clips_per_shard=2)
    return folder


@pytest.fixture(scope="session")
def paired_shards(carphone: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six short clips with a stored, darker degraded side, in three shards."""
    folder = tmp_path_factory.mktemp("paired")
    frames = carphone[:, 40:88, 60:124]
    clips = [
        Clip(f"clip-{n}", frames[9 * n : 9 * n + 9], Fraction(25), degraded=frames[9 * n : 9 * n + 9] // 2)
        for n in range(6)
    ]
    write_shards(folder, clips, clips_per_shard=2)
    return folder


@pytest.fixture(scope="session")
def six_shards(carphone: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clips of `paired_shards`, a shard each, for several processes with several workers."""
    folder = tmp_path_factory.mktemp("six")
    frames = carphone[:, 40:88, 60:124]
    clips = [
        Clip(f"clip-{n}", frames[9 * n : 9 * n + 9], Fraction(25), degraded=frames[9 * n : 9 * n + 9] // 2)
        for n in range(6)
    ]
    write_shards(folder, clips, clips_per_shard=1)
    return folder
