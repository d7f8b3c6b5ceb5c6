"""The settings of `dvface sweep`."""

from typing import Annotated

from pydantic import Field

from dvface.config.schema import Component, Strict


class SweepSettings(Strict):
    """`dvface sweep`, resolved; all other keys belong to `dvface train`."""

    sweep: Annotated[str, Field(pattern=r"^\w[\w=,.+@%\[\]-]{0,119}$")] | None
    launcher: Component
