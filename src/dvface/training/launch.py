"""The processes of a run: who starts them, and how each finds the run's folder.

One process and several on one machine are started by Lightning: the first process makes the run folder and tells the
others its place in the environment. On several machines torchrun or SLURM starts all of them with the same words;
they find the folder by its name.
"""

import os
import time

import torch
from lightning.pytorch.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

from dvface.config.schema import TrainerSettings, TrainSettings
from dvface.errors import UserError
from dvface.training.run_folder import RunFolder

RUN_VARIABLE = "DVFACE_RUN"
"""By this environment variable the first process tells those that Lightning starts which run they belong to."""
MEETING_SECONDS = 600.0
"""Seconds that the other processes wait for the first to make the run folder."""


def processes(options: TrainerSettings) -> int:
    """How many processes train together, on all machines."""
    if options.devices != "auto":
        return options.devices * options.nodes
    # Lightning takes one process of a CPU, and all GPUs.
    gpus = torch.cuda.device_count() if options.accelerator != "cpu" else 0
    return max(1, gpus) * options.nodes


def joined_run() -> str | None:
    """The folder of the run that Lightning started this process to help with; None in any other process."""
    return os.environ.get(RUN_VARIABLE) if os.environ.get("LOCAL_RANK", "0") != "0" else None


def started_rank() -> int | None:
    """This process's rank among those that torchrun or SLURM started together; None where neither did."""
    for environment in (TorchElasticEnvironment, SLURMEnvironment):
        if environment.detect() and _started_together() > 1:
            return int(os.environ["RANK" if environment is TorchElasticEnvironment else "SLURM_PROCID"])
    return None


def _started_together() -> int:
    return int(os.environ.get("WORLD_SIZE" if TorchElasticEnvironment.detect() else "SLURM_NTASKS", "1"))


def check_launch(settings: TrainSettings) -> None:
    """Refuse a number of processes that nobody started, or a run that the others could not find.

    Raises:
        UserError: one sentence on what does not fit.
    """
    check_processes(settings.trainer)
    if started_rank() is not None and settings.name is None:
        raise UserError("processes that are started together find their run by its name; give one: name=NAME")


def check_processes(options: TrainerSettings) -> None:
    """Refuse a number of processes that nobody started.

    Raises:
        UserError: one sentence on what does not fit.
    """
    if started_rank() is None:
        if options.nodes > 1:
            raise UserError(
                f"trainer.nodes={options.nodes}: several machines are started by torchrun or srun, see docs/training.md"
            )
    elif (wanted := processes(options)) != _started_together():
        raise UserError(
            f"{_started_together()} processes were started together, and trainer.devices={options.devices} × "
            f"trainer.nodes={options.nodes} asks {wanted}; make them the same"
        )


def wait_for(folder: RunFolder) -> None:
    """Wait until the first process has made the run folder.

    Raises:
        UserError: it does not, within `MEETING_SECONDS` seconds.
    """
    end = time.monotonic() + MEETING_SECONDS
    while not (folder.config.is_file() and folder.state.is_file()):
        if time.monotonic() > end:
            raise UserError(f"the first process has not made {folder.path}; do all machines see the same runs folder?")
        time.sleep(0.2)
