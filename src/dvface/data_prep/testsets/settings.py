"""The settings of `dvface testset`."""

from pydantic import Field

from dvface.config.schema import Component, Jobs, PathText, Strict


class TestsetSettings(Strict):
    """`dvface testset`, resolved; ``degradation`` is used where the protocol refers to it."""

    input: PathText
    output: PathText
    seed: int = Field(ge=0)
    protocol: Component
    degradation: Component
    jobs: Jobs
