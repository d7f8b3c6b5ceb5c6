"""What `dvface evaluate` is told, checked before any work."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from dvface.config.schema import Component, DataSettings, PathText, Strict
from dvface.models.model_folder import SMALL

GivenPath = Annotated[PathText, Field(min_length=1)]
"""A path that is not empty, as one from an unset variable of a shell would be."""


def _methods(restored: Any) -> Any:
    """A path, or methods' names and paths; names become names of folders."""
    if restored is None or isinstance(restored, int | float):
        return None if restored is None else str(restored)
    if isinstance(restored, str):
        if not restored:
            raise ValueError("is empty; give a path")
        return restored
    if not isinstance(restored, dict) or not restored:
        raise ValueError("give a path, or methods as {NAME: PATH, …}")
    for name, path in restored.items():
        if not str(name) or str(name).startswith(".") or set(str(name)) & set("/\\\0"):
            raise ValueError(f"{name}: a method's name becomes a folder's; choose one without / and . at its start")
        if not isinstance(path, str | int | float) or path == "":
            raise ValueError(f"{name} has no path; give one: {{{name}: PATH}}")
    return {str(name): str(path) for name, path in restored.items()}


class EvaluateSettings(Strict):
    """`dvface evaluate`, resolved."""

    restored: Annotated[str | dict[str, str] | None, BeforeValidator(_methods)]
    reference: GivenPath | None
    checkpoint: GivenPath | None
    out: GivenPath
    metrics: dict[str, Component]
    mismatch: Literal["strict", "truncate", "align"]
    report: Literal["plain", "paper"]
    testset: str
    seed: int = Field(ge=0)
    runs: PathText
    data: DataSettings

    @model_validator(mode="after")
    def _one_thing_to_measure(self) -> "EvaluateSettings":
        if self.restored is not None and self.checkpoint is not None:
            raise ValueError("give restored=VIDEOS or checkpoint=RUN, one of them")
        if self.restored is None and self.checkpoint is None:
            if self.reference is not None:
                raise ValueError("reference= needs restored=VIDEOS beside it")
            self.checkpoint = SMALL
        if self.checkpoint is not None and self.reference is not None:
            raise ValueError("checkpoint= is compared with the clean side of data=; leave reference= out")
        if not self.metrics:
            raise ValueError("no measure is chosen; choose some: metrics=[psnr,ssim]")
        return self
