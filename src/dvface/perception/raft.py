"""RAFT: recurrent all-pairs field transforms for optical flow (Teed & Deng 2020)."""

import re
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from dvface.perception.frozen import Frozen
from dvface.weights import read_tensors
from dvface.weights.catalogue import RAFT_LARGE, RAFT_SMALL

# Beside each of the authors' files (trained on FlyingChairs, then FlyingThings3D), torchvision's port of it.
RAFT_WEIGHTS = {"small": RAFT_SMALL, "large": RAFT_LARGE}

# The original RAFT's names (princeton-vl/RAFT) on the left, torchvision's on the right, applied in order.
_ORIGINAL_TO_TORCHVISION = (
    (r"^module\.", ""),
    (r"^fnet\.", "feature_encoder."),
    (r"^cnet\.", "context_encoder."),
    (r"_encoder\.conv1\.", "_encoder.convnormrelu.0."),
    (r"_encoder\.norm1\.", "_encoder.convnormrelu.1."),
    (r"_encoder\.conv2\.", "_encoder.conv."),
    (r"(layer\d\.\d)\.conv(\d)\.", r"\1.convnormrelu\2.0."),
    (r"(layer\d\.\d)\.norm(\d)\.", r"\1.convnormrelu\2.1."),
    (r"^update_block\.encoder\.convc(\d)\.", r"update_block.motion_encoder.convcorr\1.0."),
    (r"^update_block\.encoder\.convf(\d)\.", r"update_block.motion_encoder.convflow\1.0."),
    (r"^update_block\.encoder\.conv\.", "update_block.motion_encoder.conv.0."),
    (r"^update_block\.gru\.conv([zrq])(\d)\.", r"update_block.recurrent_block.convgru\2.conv\1."),
    (r"^update_block\.gru\.conv([zrq])\.", r"update_block.recurrent_block.convgru1.conv\1."),
    (r"^update_block\.mask\.0\.", "mask_predictor.convrelu.0."),
    (r"^update_block\.mask\.2\.", "mask_predictor.conv."),
)
# The original registers the norm of a strided shortcut twice: as `norm3` and inside `downsample`.
_REGISTERED_TWICE = re.compile(r"cnet\.layer\d\.0\.norm3\.")


class RAFTFlow(Frozen):
    """RAFT in torchvision's implementation.

    Args:
        size: "small" or "large".
        updates: how often the flow is refined.
        weights: a state dict in torchvision's layout or the original authors', whatever it was trained on; by
            default the authors' (`RAFT_WEIGHTS`) is looked up.

    Raises:
        ValueError: ``updates`` is below 1.
        UserError: ``weights`` does not exist or is not this network's.
        WeightsMissing: the file cannot be had.
    """

    def __init__(self, size: Literal["small", "large"], updates: int = 12, weights: str | Path | None = None) -> None:
        from torchvision.models import optical_flow  # a second of import that DIS and warping do without

        if updates < 1:
            raise ValueError(f"updates={updates}: RAFT needs at least 1")
        super().__init__()
        path = RAFT_WEIGHTS[size].find(weights)
        self.name = f"raft_{size}"
        self.file_name: str | None = path.name
        self.least_side = 1  # padded inside
        self.updates = updates
        build = {"small": optical_flow.raft_small, "large": optical_flow.raft_large}[size]
        self.network = build(weights=None)
        state = _torchvision_layout(read_tensors(path))
        self.freeze({f"network.{key}": value for key, value in state.items()}, path)

    @torch.no_grad()
    def flow(self, first: Tensor, second: Tensor) -> Tensor:
        """See `FlowEstimator.flow`. Inside, frames are padded to multiples of 8, at least 128 pixels."""
        height, width = first.shape[-2:]
        padding = (0, _padded(width) - width, 0, _padded(height) - height)
        first, second = (functional.pad(frames, padding, mode="replicate") for frames in (first, second))
        flow: Tensor = self.network(first.contiguous(), second.contiguous(), num_flow_updates=self.updates)[-1]
        return flow[..., :height, :width]


def _padded(length: int) -> int:
    return max(128, -(-length // 8) * 8)


def _torchvision_layout(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for key, value in state.items():
        if _REGISTERED_TWICE.search(key):
            continue
        for original, torchvision in _ORIGINAL_TO_TORCHVISION:
            key = re.sub(original, torchvision, key)
        renamed[key] = value
    return renamed
