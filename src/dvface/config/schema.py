"""The one schema: what a composed configuration must be, checked before any work starts."""

import inspect
import types
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from dvface.config.build import TARGET, find_class, targets
from dvface.config.compose import flatten
from dvface.errors import UserError, nearest

Component = dict[str, Any]


class Strict(BaseModel):
    """No unknown keys, no silent conversion of text to numbers."""

    model_config = ConfigDict(extra="forbid", strict=True)


PathText = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value)]
"""A path; a file that is called 2024 is a path too."""


def _some_jobs(jobs: int) -> int:
    if jobs < 1 and jobs != -1:
        raise ValueError(f"{jobs}: give 1 or more, or -1 for one a core")
    return jobs


Jobs = Annotated[int, AfterValidator(_some_jobs)]
"""Processes at once."""


class RestoreChoices(Strict):
    """What may be chosen of a restoration; `dvface.inference.options.RestoreOptions` says what each is."""

    mode: Literal["auto", "aligned", "faces", "frame"]
    fidelity: float = Field(ge=0, le=1)
    export: Literal["restored", "side_by_side", "split"]
    window: int = Field(ge=1)
    overlap: int = Field(ge=0)
    tile: int = Field(ge=64)
    tile_overlap: int = Field(ge=0)
    codec: str | None
    quality: Annotated[int, Field(ge=0, le=63)] | None
    bits: Literal[8, 10] | None
    rate: float = Field(gt=0, le=1000)
    mask: Literal["ellipse", "outline"]
    overwrite: bool


class RestoreSettings(RestoreChoices):
    """`dvface restore`, resolved."""

    input: PathText
    output: PathText
    checkpoint: PathText = Field(min_length=1)
    runs: PathText
    dry_run: bool
    detector: Component


class DegradeSettings(Strict):
    """`dvface degrade`, resolved."""

    input: PathText
    output: PathText
    degradation: Component
    seed: int = Field(ge=0)
    format: Literal["videos", "shards"]
    clip_frames: Annotated[int, Field(ge=1)] | None
    clips_per_shard: int = Field(ge=1)
    jobs: Jobs
    engine: Literal["local", "ray"]
    preview: bool


class TrackingSettings(Strict):
    """How faces are followed: arguments of `dvface.perception.tracks.Tracker`."""

    most_step: float = Field(gt=0)
    most_growth: float = Field(gt=1)
    most_missed: int = Field(ge=0)
    most_faces: int = Field(ge=1)


class SplitSettings(Strict):
    """How footage is divided into training, validation and test."""

    by: Literal["source", "identity"]
    validation: float = Field(ge=0, lt=1)
    test: float = Field(ge=0, lt=1)
    most_distance: float = Field(gt=0)

    @model_validator(mode="after")
    def _something_is_left_to_train(self) -> "SplitSettings":
        if self.validation + self.test >= 1:
            raise ValueError(f"validation={self.validation} and test={self.test} leave nothing to train on; lower them")
        return self


class PrepareSettings(Strict):
    """`dvface prepare`, resolved."""

    input: PathText
    output: PathText
    seed: int = Field(ge=0)
    layout: Component
    detector: Component
    scenes: Component
    crop: Component
    identity: Component
    filters: dict[str, Component]
    tracking: TrackingSettings
    split: SplitSettings
    clip_frames: int = Field(ge=1)
    size: int = Field(ge=16)
    smoothing: float = Field(ge=0)
    rate: Annotated[float, Field(gt=0)] | None
    duplicates: Annotated[int, Field(ge=0, le=64)] | None
    clips_per_shard: int = Field(ge=1)
    time_limit: float = Field(gt=0)
    jobs: Jobs
    engine: Literal["local", "ray"]

    @field_validator("clip_frames")
    @classmethod
    def _suits_autoencoders(cls, frames: int) -> int:
        if frames % 4 != 1:
            low = frames - (frames - 1) % 4
            raise ValueError(f"{frames} is not 4k+1, as video autoencoders want it; give {max(1, low)} or {low + 4}")
        return frames


class StageSettings(Strict):
    """One stage: its module and the clips that it sees; one of 0 steps is left out."""

    module: Component
    degradation: Component
    steps: int = Field(ge=0)
    batch_size: int = Field(ge=1)
    frames: int = Field(ge=1)
    crop: int = Field(ge=16)


class StagesSettings(Strict):
    """The stages in the order in which they are trained."""

    autoencoder: StageSettings
    codebook: StageSettings
    prior: StageSettings
    restorer_latent: StageSettings
    restorer: StageSettings

    def of(self, name: str) -> StageSettings:
        """The stage of that name."""
        stage: StageSettings = getattr(self, name)
        return stage


STAGES = tuple(StagesSettings.model_fields)
STUDIES = "studies"
"""The folder of all studies' run folders, below the folder of runs."""
BEGINNINGS = ("start_from", "fork", "warm_start", "weights_only")
"""The keys by which a run begins with what another left."""


class TrainerSettings(Strict):
    """What Lightning's Trainer is told."""

    accelerator: Literal["cpu", "gpu", "auto"]
    devices: Annotated[int, Field(ge=1)] | Literal["auto"]
    nodes: int = Field(ge=1)
    strategy: Literal["auto", "ddp", "fsdp"]
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    gradient_clip: float = Field(gt=0)
    accumulate: int = Field(ge=1)
    gradient_checkpointing: bool
    compile: bool
    averaging: Annotated[float, Field(gt=0, lt=1)] | None
    log_every: int = Field(ge=1)
    validate_every: int = Field(ge=1)
    checkpoint_every: int = Field(ge=1)
    show_every: int = Field(ge=0)
    keep_best: bool
    non_finite_limit: int = Field(ge=1)
    overfit: bool
    dry_run: bool
    profile: bool

    @model_validator(mode="after")
    def _strategy_fits(self) -> "TrainerSettings":
        if self.strategy == "auto" and (self.devices != 1 or self.nodes != 1):
            raise ValueError("strategy must be ddp or fsdp where devices or nodes are more than one")
        if self.strategy == "fsdp" and (self.averaging or self.precision == "16-mixed"):
            raise ValueError("strategy=fsdp needs averaging=null and precision 32-true or bf16-mixed")
        return self


class DataSettings(Strict):
    """Where clips come from and how they are loaded."""

    source: Component
    cache: Component
    context: int = Field(ge=0)
    workers: int = Field(ge=0)
    start_method: Literal["fork", "spawn", "forkserver"]
    prefetch: int = Field(ge=1)
    buffer: int = Field(ge=0)
    tolerate: float = Field(ge=0, le=1)


StudyName = Annotated[str, Field(pattern=r"^[a-z]\w{0,59}$")]
"""Of a study, or of an experiment in it."""


class StudyMembership(Strict):
    """The study that a run is part of."""

    name: StudyName
    variant: StudyName
    parent: str | None = None


class TrainSettings(Strict):
    """A whole training configuration, resolved."""

    exp: str
    baseline: str | None
    ablates: list[str]
    study: StudyMembership | None = None
    seed: int = Field(ge=0)
    stage: Literal["chain", "autoencoder", "codebook", "prior", "restorer_latent", "restorer"]
    name: Annotated[PathText, Field(pattern=r"^[\w=][\w=,.+@%\[\]-]{0,119}$")] | None
    start_from: PathText | None
    fork: PathText | None
    warm_start: PathText | None
    weights_only: PathText | None
    runs: PathText
    size: dict[str, Annotated[int, Field(ge=1)]]
    autoencoder: Component
    backbone: Component
    text: Component
    one_step: Component
    prior: Component
    codebook: dict[Literal["spatial", "temporal"], Component]
    fusion: Component
    refinement: Component
    loss: Component
    degradation: Component
    model: Component
    pretrained: Component
    stages: StagesSettings
    data: DataSettings
    metrics: dict[str, Component]
    trainer: TrainerSettings
    expected: Component = Field(default_factory=lambda: {"_target_": "dvface.training.expected.NothingExpected"})
    logger: Component

    @model_validator(mode="after")
    def _one_beginning(self) -> "TrainSettings":
        given = [word for word in BEGINNINGS if getattr(self, word) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[0]} and {given[1]} are both given; a run begins in one way: choose one")
        return self

    @property
    def parent(self) -> Path:
        """The folder that the run's folder lies in."""
        return Path(self.runs) / (self.exp if self.study is None else f"{STUDIES}/{self.study.name}")

    @property
    def chosen_stages(self) -> list[str]:
        """The stages to train, in order."""
        return [name for name in STAGES if self.stage in ("chain", name) and self.stages.of(name).steps]


Settings = TypeVar("Settings", bound=Strict)


def validated(schema: type[Settings], tree: Mapping[str, Any]) -> Settings:
    """A resolved configuration as ``schema``; every class that it names takes the arguments that it gives.

    Raises:
        UserError: one sentence for the first fault: the key, the value, what is allowed, the nearest match.
    """
    try:
        settings = schema.model_validate(tree)
    except ValidationError as error:
        raise UserError(_sentence(error, tree)) from error
    check_arguments(tree)
    return settings


def check_arguments(tree: Mapping[str, Any]) -> None:
    """Every class that a resolved tree names must take the arguments that the tree gives it.

    Raises:
        UserError: see `validated`.
    """
    for key, value in flatten(tree).items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and not isfinite(number):
                raise UserError(f"{key}={number}: give a number")
    for path, node in targets(tree):
        _check_arguments(path, node)


def check(tree: Mapping[str, Any]) -> TrainSettings:
    """`validated` for a training configuration."""
    return validated(TrainSettings, tree)


def _sentence(error: ValidationError, tree: Mapping[str, Any]) -> str:
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "extra_forbidden":
        node: Any = tree
        for part in first["loc"][:-1]:
            node = node[part]
        last = str(first["loc"][-1])
        return f"unknown key '{path}'{nearest(last, [key for key in node if key != last])}"
    if first["type"] == "missing":
        return f"{path} has no value; give one: {path}=VALUE"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        joint = "." if isinstance(first["input"], Mapping) else "="
        return f"{path}{joint}{message}" if path else message
    return f"{path}={first['input']!r}: {message[0].lower()}{message[1:]}"


def _check_arguments(path: str, node: Mapping[str, Any]) -> None:
    """The keys of ``node`` must be arguments of its class, and plain values of the annotated types."""
    found = find_class(str(node[TARGET]), path)
    parameters = inspect.signature(found).parameters
    given = {key: value for key, value in node.items() if not key.startswith("_")}
    for key, value in given.items():
        if key not in parameters:
            if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
                continue
            raise UserError(
                f"unknown key '{path}.{key}'{nearest(key, parameters)} "
                f"({found.__name__} takes: {', '.join(parameters)})"
            )
        annotation = parameters[key].annotation
        if _is_plain(annotation):
            try:
                TypeAdapter(annotation, config=ConfigDict(strict=True)).validate_python(value)
            except ValidationError as error:
                message = error.errors()[0]["msg"]
                raise UserError(f"{path}.{key}={value!r}: {message[0].lower()}{message[1:]}") from error
    # A factory gets the rest when it is called.
    if not node.get("_partial_"):
        for key, parameter in parameters.items():
            if (
                parameter.default is parameter.empty
                and key not in given
                and parameter.kind
                not in (
                    parameter.VAR_POSITIONAL,
                    parameter.VAR_KEYWORD,
                )
            ):
                raise UserError(f"{path}.{key} has no value; give one: {path}.{key}=VALUE")


def _is_plain(annotation: Any) -> bool:
    """Whether a value of this type is plain data that can be checked without building anything."""
    if annotation in (int, float, bool, str, type(None)):
        return True
    if get_origin(annotation) in (Literal,):
        return True
    if get_origin(annotation) in (Union, types.UnionType, list, tuple, Sequence, dict, Mapping):
        return all(part is ... or _is_plain(part) for part in get_args(annotation))
    return False
