"""What ``conf/app.yaml`` must be."""

from pydantic import Field

from dvface.config.schema import PathText, Strict


class LimitSettings(Strict):
    """The most that an upload may be; see `dvface.app.limits.Limits`."""

    megabytes: float = Field(gt=0)
    seconds: float = Field(gt=0)
    pixels: int = Field(ge=1)


class AppSettings(Strict):
    """`dvface app`, resolved."""

    checkpoint: PathText = Field(min_length=1)
    runs: PathText
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    window: int = Field(ge=1)
    overlap: int = Field(ge=0)
    limits: LimitSettings
    waiting: int = Field(ge=0)
    keep_minutes: float = Field(gt=0)
