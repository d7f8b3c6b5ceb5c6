"""Whether a run goes as the same experiment went before."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tests.conftest import SMALLEST

from dvface.data.sets import draws_sha256
from dvface.data.shards import read_manifest
from dvface.training.expected import ExpectedCurves, NothingExpected
from dvface.training.run import train


def curves(folder: Path | str = "", digest: str = "", tolerance: float = 0.1, loss: float = 0.4) -> ExpectedCurves:
    return ExpectedCurves({"restorer": {200: loss, 100: 0.8}}, tolerance, str(folder), digest)


@pytest.mark.parametrize(("step", "loss"), [(100, 0.8), (125, 0.7), (200, 0.4), (99, None), (201, None)])
def test_between_known_steps_the_loss_lies_on_a_straight_line(step: int, loss: float | None) -> None:
    assert curves().at("restorer", step) == pytest.approx(loss)


def test_a_stage_that_is_not_known_expects_nothing() -> None:
    assert curves().at("prior", 100) is None
    assert NothingExpected().watch("restorer", print) == []


@pytest.mark.parametrize(
    ("step", "loss", "said"),
    [
        (100, 0.84, ["restorer 100: held-out loss 0.8400, expected 0.8000: on track"]),
        (200, 0.5, ["restorer 200: held-out loss 0.5000, expected 0.4000: +25%"]),
        (200, 0.3, ["restorer 200: held-out loss 0.3000, expected 0.4000: -25%"]),
        (300, 0.3, []),
    ],
)
def test_the_user_is_told_how_a_run_stands(step: int, loss: float, said: list[str], paired_shards: Path) -> None:
    told: list[str] = []
    (watch,) = curves(paired_shards, draws_sha256(read_manifest(paired_shards))).watch("restorer", told.append)
    trainer = SimpleNamespace(
        global_step=step, is_global_zero=True, callback_metrics={"held_out/loss": torch.tensor(loss)}
    )
    watch.on_validation_end(trainer, None)
    assert told == said


def test_nothing_is_said_of_losses_on_another_held_out_set(tmp_path: Path, paired_shards: Path) -> None:
    told: list[str] = []
    assert curves(tmp_path, "0" * 64).watch("restorer", told.append) == []
    assert curves(paired_shards, "0" * 64).watch("restorer", told.append) == []
    assert told == 2 * [
        "restorer: whether it is on track cannot be said: the held-out set is not the one that is expected"
    ]


def test_numbers_without_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected\.tolerance must be above 0"):
        curves(tolerance=0)
    with pytest.raises(ValueError, match=r"expected\.held_out_loss must hold losses above 0"):
        curves(loss=0)


def test_a_real_run_says_how_it_stands(paired_shards: Path, tmp_path: Path) -> None:
    digest = draws_sha256(read_manifest(paired_shards))
    words = [
        *SMALLEST,
        *("data=paired", f"data.source.train={paired_shards}", f"data.source.held_out={paired_shards}"),
        *("stage=codebook", "stages.codebook.steps=2", "trainer.validate_every=2", "logger=none"),
        *(f"runs={tmp_path}", "name=watched", "data.workers=0"),
        "expected._target_=dvface.training.expected.ExpectedCurves",
        *("+expected.tolerance=0.1", f"+expected.held_out={paired_shards}", f"+expected.draws_sha256='{digest}'"),
        "+expected.held_out_loss={codebook:{2:1000.0}}",
    ]
    told: list[str] = []
    train(words, told.append)
    (said,) = [line for line in told if line.startswith("codebook 2: held-out loss ")]
    assert said.endswith(", expected 1000.0000: -100%")
