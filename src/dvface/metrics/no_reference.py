"""Learned quality of single frames without reference, as the optional package pyiqa computes it."""

import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from dvface.errors import UserError
from dvface.metrics.base import MeanMetric
from dvface.metrics.segment import Segment
from dvface.perception.frozen import Frozen
from dvface.weights import WeightsMissing

_TENSORS_ALONE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


class PyIQA(MeanMetric):
    """The mean over frames of what one of pyiqa's models without reference says (Chen et al., IQA-PyTorch).

    pyiqa fetches a model's weights from its own stores when the measure is built, unless ``options`` name a file or
    its cache holds them. It would unpickle whatever they hold; here only tensors are read.

    Args:
        name: of the measure.
        model: pyiqa's name of the model: "musiq", "clipiqa", "maniqa".
        options: further arguments of ``pyiqa.create_metric``, such as ``pretrained_model_path`` where a model has it.

    Raises:
        UserError: pyiqa has no such model without reference, or it does not take ``options``.
        WeightsMissing: pyiqa is not installed, or the weights cannot be fetched or hold more than tensors.
    """

    needs_clean = False

    def __init__(self, name: str, model: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.name = name
        pyiqa = _package(name)
        release = version("pyiqa")
        if model not in pyiqa.list_models(metric_mode="NR"):
            raise UserError(f"measure {name}: pyiqa {release} has no model {model} without reference; correct model")
        scorer = _create(pyiqa, name, model, dict(options or {}))
        self._lower_is_better = bool(scorer.lower_better)
        self.file_name = f"pyiqa {release}: {model}"
        self.definition = f"mean over frames of {model} as pyiqa {release} computes it, range {scorer.score_range}"
        self.scorer = _Scorer(scorer)

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """As pyiqa says of the model; torchmetrics lets no instance set the attribute."""
        return not self._lower_is_better

    def per_frame(self, segment: Segment) -> Tensor:
        """The model's score of each frame.

        Raises:
            UserError: the model does not take frames of this size.
        """
        return torch.cat([self._scores(frames) for frames in segment.groups("restored")])

    def _scores(self, frames: Tensor) -> Tensor:
        # frames that hold no numbers are counted as infinitely bad later; pyiqa would refuse the whole batch
        unit = ((frames + 1) / 2).nan_to_num(nan=0.0).clamp(0, 1)
        try:
            return self.scorer(unit)
        except AssertionError as error:  # how pyiqa's models refuse an input
            height, width = frames.shape[-2:]
            raise UserError(
                f"measure {self.name} cannot score frames of {width}x{height} ({error}); leave it out of the metrics"
            ) from error


class DOVER(PyIQA):
    """DOVER (Wu et al. 2023), a network of whole videos; it cannot be had, and a table says so by its name.

    Raises:
        WeightsMissing: always. pyiqa does not have it, and its weights were never at hand to prove code of ours.
    """

    def __init__(self) -> None:
        raise WeightsMissing(
            "DOVER is not in pyiqa and not written here: run its authors' own code (github.com/VQAssessment/DOVER)"
        )


class _Scorer(Frozen):
    """A model of pyiqa that moves with the measure, and is in no owner's parameters or checkpoint."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.freeze(self.state_dict(), Path("pyiqa"))

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] -> (N,)."""
        scores: Tensor = self.model(frames)
        return scores.reshape(len(frames))


def _package(name: str) -> ModuleType:
    try:
        import pyiqa
    except ImportError as error:
        raise WeightsMissing(
            f"measure {name} needs the package pyiqa ({error}); run: pip install 'dvface[iqa]'. "
            "pyiqa fetches the measure's weights itself when it is first used"
        ) from error
    package: ModuleType = pyiqa
    return package


def _create(pyiqa: ModuleType, name: str, model: str, options: dict[str, Any]) -> Any:
    """The model on the CPU; what pyiqa prints goes to stderr, for stdout is the command's own."""
    try:
        with _tensors_alone(), redirect_stdout(sys.stderr):
            return pyiqa.create_metric(model, device=torch.device("cpu"), **options)
    except OSError as error:
        raise WeightsMissing(f"pyiqa cannot fetch the weights of {model} for measure {name}: {error}") from error
    except pickle.UnpicklingError as error:
        raise WeightsMissing(
            f"the weights of {model} for measure {name} hold more than tensors, which is not read: {error}"
        ) from error
    except TypeError as error:
        raise UserError(f"measure {name}: pyiqa's {model} does not take options {options}: {error}") from error


@contextmanager
def _tensors_alone() -> Iterator[None]:
    """`torch.load` reads tensors alone, whatever its caller asks for."""
    before = os.environ.get(_TENSORS_ALONE)
    os.environ[_TENSORS_ALONE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_TENSORS_ALONE]
        else:
            os.environ[_TENSORS_ALONE] = before
