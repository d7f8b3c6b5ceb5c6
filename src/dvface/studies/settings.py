"""What a study file and the settings of `dvface study` must be."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from dvface.config.schema import STAGES, Component, PathText, Strict, StudyName
from dvface.errors import nearest


def _split(value: Any) -> Any:
    return value.split() if isinstance(value, str) else value


Words = Annotated[list[str], BeforeValidator(_split)]
"""Words of `dvface train`; a text is split at its spaces, a list may hold words with spaces."""


class StudyFile(Strict):
    """``experiments/NAME/study.yaml``."""

    question: str = Field(min_length=1)
    baseline: str
    experiments: dict[StudyName, Words] = Field(min_length=2)
    shared: Words = Field(default_factory=list)
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    measures: list[str] = Field(min_length=1)
    footage: str
    budget: dict[str, Annotated[int, Field(ge=1)]] = Field(min_length=1)
    hours: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.baseline not in self.experiments:
            raise ValueError(
                f"baseline={self.baseline}: it is none of the experiments{nearest(self.baseline, self.experiments)} "
                f"(one of: {', '.join(self.experiments)})"
            )
        for stage in self.budget:
            if stage not in STAGES:
                raise ValueError(
                    f"budget.{stage}: there is no such stage{nearest(stage, STAGES)} (one of: {', '.join(STAGES)})"
                )
        if len(set(self.seeds)) < len(self.seeds) or len(set(self.measures)) < len(self.measures):
            raise ValueError("of seeds and measures each may be given once")
        return self


class StudySettings(Strict):
    """`dvface study`, resolved; all other keys belong to `dvface train`."""

    name: str
    runs: PathText
    hours: Annotated[float, Field(gt=0)] | None
    launcher: Component
