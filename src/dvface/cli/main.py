"""`dvface <command>`: parses, imports what the command needs and nothing before, prints errors in one sentence."""

import sys
from typing import Annotated

import typer

from dvface.errors import UserError

app = typer.Typer(
    help="Video face restoration: train, restore, measure, compare.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Hydra overrides, such as exp=tiny or stages.restorer.steps=500."),
]


@app.callback()
def describe() -> None:
    """Video face restoration: train, restore, measure, compare."""


@app.command()
def train(overrides: Overrides = None) -> None:
    """Train the stages of an experiment; the last line names the run folder.

    Examples: dvface train · dvface train exp=ablation_no_temporal · dvface train stage=restorer start_from=RUN ·
    dvface train resume=RUN (continues an interrupted run)
    """
    from dvface.cli.commands import train as work

    work(overrides or [])


def run() -> None:
    """The console script: user errors end in one sentence and exit code 2, Ctrl-C in 130."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    run()
