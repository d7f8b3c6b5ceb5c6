"""Whether a run goes as the same experiment went before."""

from types import SimpleNamespace

import pytest
import torch

from dvface.training.expected import ExpectedCurves, NothingExpected

CURVES = ExpectedCurves({"restorer": {200: 0.4, 100: 0.8}}, tolerance=0.1)


@pytest.mark.parametrize(("step", "loss"), [(100, 0.8), (125, 0.7), (200, 0.4), (99, None), (201, None)])
def test_between_known_steps_the_loss_lies_on_a_straight_line(step: int, loss: float | None) -> None:
    assert CURVES.at("restorer", step) == pytest.approx(loss)


def test_a_stage_that_is_not_known_expects_nothing() -> None:
    assert CURVES.at("prior", 100) is None
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
def test_the_user_is_told_how_a_run_stands(step: int, loss: float, said: list[str]) -> None:
    told: list[str] = []
    (watch,) = CURVES.watch("restorer", told.append)
    trainer = SimpleNamespace(
        global_step=step, is_global_zero=True, callback_metrics={"held_out/loss": torch.tensor(loss)}
    )
    watch.on_validation_end(trainer, None)
    assert told == said


def test_a_tolerance_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected\.tolerance must be above 0"):
        ExpectedCurves({}, tolerance=0)
