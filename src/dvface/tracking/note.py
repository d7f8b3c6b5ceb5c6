"""What MLflow's page says of a run in words: Markdown in the tag that it shows as the description."""

from collections.abc import Sequence

from dvface.report.tables import Table

NOTE_TAG = "mlflow.note.content"
RESULT = "\n## Final measures\n"


def first_note(experiment: str, command: str, changes: Sequence[str]) -> str:
    """What a run that starts is.

    Args:
        experiment: that it trains.
        command: as a shell takes it.
        changes: what it changes against its baseline, a line a key.
    """
    differs = "".join(f"- `{line}`\n" for line in changes)
    against = f"\n## Against its baseline\n\n{differs}" if changes else ""
    return f"exp={experiment}\n\n    {' '.join(command.split())}\n{against}"


def final_note(before: str, measures: Table) -> str:
    """The note with the final measures behind it; those of an earlier end are replaced."""
    return f"{before.partition(RESULT)[0]}{RESULT}\n{measures.markdown()}"
