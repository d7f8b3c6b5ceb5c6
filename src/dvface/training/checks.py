"""What can be refused before a run folder exists: parts that do not fit, clips, stages, beginnings, devices."""

from pathlib import Path

import torch

from dvface.config.build import build
from dvface.config.schema import TrainSettings
from dvface.contracts import latent_frames
from dvface.data.datamodule import Source
from dvface.data.sets import check_sets
from dvface.errors import UserError
from dvface.models.restorer import Restorer
from dvface.training.beginnings import check_beginning, forked_stages
from dvface.training.launch import processes
from dvface.training.run_folder import RunFolder, read_checkpoint
from dvface.training.trainer import make_data


def check_model(settings: TrainSettings) -> Restorer:
    """Refuse a model whose parts do not fit each other, its stages or their clips; no data is touched.

    Returns:
        The model on the meta device: only shapes matter here, and a full-size model takes minutes and gigabytes to
        fill.

    Raises:
        UserError: one sentence on the first fault.
        WeightsMissing: a loss needs a network that is not at hand.
    """
    with torch.device("meta"):
        model: Restorer = build(settings.model)
    try:
        size = 2 * model.spatial_multiple
        with torch.inference_mode():
            model.eval()(torch.zeros(1, 3, 1 + model.temporal_stride, size, size, device="meta"))
    except (ValueError, RuntimeError, ArithmeticError) as error:
        raise UserError(f"the model's parts do not fit together: {str(error).splitlines()[0]}") from error
    for name in settings.chosen_stages:
        stage = settings.stages.of(name)
        build(stage.degradation)
        try:
            latent_frames(stage.frames, model.temporal_stride)
        except ValueError as error:
            raise UserError(f"stages.{name}.frames={stage.frames}: {error}") from error
        if stage.crop % model.spatial_multiple:
            raise UserError(
                f"stages.{name}.crop={stage.crop}: this model needs a multiple of {model.spatial_multiple} pixels"
            )
        try:
            build(stage.module)(model=model)
        except ValueError as error:
            raise UserError(f"stages.{name}.module: {error}") from error
    return model


def check_parts(settings: TrainSettings) -> Restorer:
    """Refuse whatever can be refused before a run folder exists.

    Returns:
        The model on the meta device.

    Raises:
        UserError: one sentence on the first fault.
        WeightsMissing: a loss needs a network that is not at hand.
    """
    if settings.trainer.accelerator == "gpu" and not settings.trainer.dry_run and not torch.cuda.is_available():
        raise UserError("trainer.accelerator=gpu: this machine has no usable GPU; say trainer.accelerator=cpu")
    model = check_model(settings)
    check_beginning(settings, model)
    build(settings.pretrained).check(model)
    build(settings.data.cache)
    source: Source = build(settings.data.source)
    sets = source.training()
    for name in settings.chosen_stages:
        stage = settings.stages.of(name)
        check_sets(sets, stage.frames, stage.crop, processes(settings.trainer), settings.data.workers)
        for one in sets:
            if one.frames is not None:
                try:
                    latent_frames(one.frames, model.temporal_stride)
                except ValueError as error:
                    raise UserError(f"data.source.parts.{one.name}.frames={one.frames}: {error}") from error
    if settings.fork is not None:
        _check_place(settings, model, source, RunFolder(Path(settings.fork)))
    return model


def _check_place(settings: TrainSettings, model: Restorer, source: Source, forked: RunFolder) -> None:
    """The stage that a fork goes on with must find its place in the data again."""
    _, going_on = forked_stages(settings, forked)
    if going_on is not None:
        data = make_data(settings, going_on, model, source)
        state = read_checkpoint(forked.checkpoint(going_on))[type(data).__name__]
        data.check_layout(state["layout"], processes(settings.trainer))
