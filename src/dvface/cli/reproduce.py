"""`dvface reproduce`: a run's command, whether it still means the same, and the run made again."""

from collections.abc import Sequence
from pathlib import Path

from dvface.cli.words import own_only, yes_or_no


def reproduce(run: str, overrides: Sequence[str]) -> int:
    """Print, check and, with ``train=true``, make the run again; returns the exit code."""
    own = own_only(overrides, {"train": "false", "name": "", "runs": "runs"})
    train = yes_or_no("train", own["train"])
    from dvface.cli.runs import chosen_run
    from dvface.training.reproduce import reproduce as work

    folder = chosen_run(run, Path(own["runs"]))
    name = folder.parent.name if folder.name == "artifacts" else folder.name
    return 0 if work(folder, print, (own["name"] or f"{name}-again") if train else None) else 1
