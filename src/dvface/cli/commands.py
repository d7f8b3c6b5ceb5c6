"""What each command does once its words are parsed."""

from collections.abc import Sequence
from pathlib import Path

from dvface.config.compose import load
from dvface.errors import UserError


def train(overrides: Sequence[str]) -> None:
    """`dvface train`: a new run, or with ``resume=RUN`` an old one."""
    from dvface.training.run import new_run, resume_run

    resume = [text.removeprefix("resume=") for text in overrides if text.startswith("resume=")]
    if resume:
        if len(overrides) > 1:
            raise UserError("resume=RUN takes no other setting: the run keeps the configuration it was started with")
        path = resume_run(Path(resume[0]), print)
    else:
        path = new_run(load("train", overrides), print)
    print(f"run: {path}")
