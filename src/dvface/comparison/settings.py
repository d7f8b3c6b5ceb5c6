"""The settings of `dvface compare`."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from dvface.config.schema import PathText, Strict


def _several(value: object) -> object:
    """One entry is a list, and so is one that Hydra took for a single text, since there is tag=value in it."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        return [entry.strip() for entry in value[1:-1].split(",")]
    return [value] if isinstance(value, str | int | float) else value


class CompareSettings(Strict):
    """`dvface compare`, resolved."""

    study: str | None
    runs: Annotated[list[PathText], BeforeValidator(_several), Field(min_length=1)] | None
    baseline: str | None
    footage: str | None
    measures: Annotated[list[str], Field(min_length=1)] | None
    folder: PathText
    out: PathText | None
