"""What a stage costs, found on the meta device, where shapes are known and nothing is held or computed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from dvface.config.schema import TrainerSettings
from dvface.contracts import ClipBatch
from dvface.models.codebooks.table import TableQuantizer
from dvface.training.stage import Stage


@dataclass(frozen=True)
class Holdings:
    """What a stage holds.

    Attributes:
        learning: parameters that learn.
        parameters: all of them, those of networks that serve the stage only included; frozen networks of losses,
            whose weights are no parameters, count in ``memory`` alone.
        memory: bytes of weights, gradients, AdamW's two moments and the moving average, if one is kept, in each
            process.
        checkpoint: bytes of one checkpoint.
        weights: bytes of the weights that the stage leaves.
    """

    learning: int
    parameters: int
    memory: int
    checkpoint: int
    weights: int


def holdings(stage: Stage, options: TrainerSettings, processes: int) -> Holdings:
    """What a stage holds, from the shapes of its tensors.

    Args:
        stage: on any device.
        options: decide on the moving average, and whether processes share weights.
        processes: how many train together.
    """
    parameters = list(stage.parameters())
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    state, moments = _bytes(stage.state_dict().values()), 2 * _bytes(learning)
    copies = 2 if options.averaging else 1
    model = stage.model
    # What `ShardedStrategy` cuts into pieces; pieces are as even as can be.
    pieces = {*model.backbone.parameters(), *model.refinement.parameters()} if options.strategy == "fsdp" else set()
    memory = copies * _bytes(stage.buffers())
    for parameter in parameters:
        # itself, its gradient, its two moments
        times = copies + (3 if parameter.requires_grad else 0)
        memory += times * _bytes([parameter]) // (processes if parameter in pieces else 1)
    return Holdings(
        learning=sum(parameter.numel() for parameter in learning),
        parameters=sum(parameter.numel() for parameter in parameters),
        memory=memory,
        checkpoint=copies * state + moments,
        weights=_bytes(model.state_dict().values()),
    )


def operations(stage: Stage, clips: int, frames: int, crop: int) -> int:
    """Floating-point operations of one batch: the stage's losses and their backward pass, run on the meta device.

    Matrix products, convolutions and attention are counted, two operations a multiply-add, the recomputation of
    gradient checkpointing included. How codebooks look after their entries is not counted.

    Args:
        stage: it is moved to the meta device and stays there.
        clips: of the batch.
        frames: T.
        crop: height and width in pixels.

    Raises:
        RuntimeError: a part must see pixels, as OpenCV's optical flow must.
    """
    stage.to("meta").train()
    for module in stage.modules():
        if isinstance(module, TableQuantizer):
            module.eval()  # in training it looks at its numbers to find entries that nobody uses
    video = torch.zeros(clips, 3, frames, crop, crop, device="meta")
    batch = ClipBatch(clean=video, degraded=video.clone(), keys=("",) * clips)
    with FlopCounterMode(display=False) as counter, _ShapesOfCounts():
        loss, _ = stage.losses(batch)
        loss.backward()
    stage.zero_grad(set_to_none=True)
    return int(counter.get_total_flops())


class _ShapesOfCounts(TorchDispatchMode):
    """Answers ``bincount``, whose shape PyTorch does not know on the meta device; ours always give the least."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.bincount.default:
            indices, _, length = args
            return indices.new_empty(length)
        return func(*args, **(kwargs or {}))


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
