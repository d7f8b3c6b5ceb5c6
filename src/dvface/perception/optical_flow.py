"""Optical flow: estimators, backward warping, and which pixels a flow can be trusted on."""

import re
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dvface.perception.frozen import Frozen
from dvface.perception.pixels import to_bytes
from dvface.weights import Weights, read_tensors

RAFT_WEIGHTS = {
    "small": Weights(name="RAFT-small", folder_names=("raft_small/raft-small.pth",)),
    "large": Weights(name="RAFT-large", folder_names=("raft_large/raft-things.pth",)),
}

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


class FlowEstimator(Protocol):
    """Whatever estimates optical flow.

    Attributes:
        name: goes into the names of the measures made with it.
        file_name: of its pretrained network, None where there is none.
    """

    name: str
    file_name: str | None

    def flow(self, first: Tensor, second: Tensor) -> Tensor:
        """Where the pixels of ``first`` are in ``second``.

        Args:
            first: (N, 3, H, W) RGB in [-1, 1].
            second: the same.

        Returns:
            (N, 2, H, W) displacements (x, y) in pixels, without gradient, on the device of ``first``.
        """
        ...


class DISFlow:
    """Dense inverse search (Kroeger et al. 2016), OpenCV's preset "medium" on 8-bit grey; no network."""

    name = "dis"
    file_name: str | None = None

    def flow(self, first: Tensor, second: Tensor) -> Tensor:
        """See `FlowEstimator.flow`; runs on the CPU. Frames need at least 12 × 12 pixels (OpenCV's limit)."""
        estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        pairs = zip(_grey(first), _grey(second), strict=True)
        flows = [estimator.calc(one, other, None) for one, other in pairs]  # type: ignore[call-overload]
        return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).to(first.device)


class RAFTFlow(Frozen):
    """RAFT (Teed & Deng 2020) in torchvision's implementation, with its own 12 updates.

    Args:
        size: "small" or "large".
        weights: a state dict, torchvision's or the original authors'; by default looked up (`RAFT_WEIGHTS`).

    Raises:
        UserError: ``weights`` does not exist or is not this network's.
        WeightsMissing: the file cannot be had.
    """

    def __init__(self, size: Literal["small", "large"], weights: str | Path | None = None) -> None:
        from torchvision.models import optical_flow  # a second of import that DIS and warping do without

        super().__init__()
        path = RAFT_WEIGHTS[size].find(weights)
        self.name = f"raft_{size}"
        self.file_name: str | None = path.name
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
        flow: Tensor = self.network(first.contiguous(), second.contiguous())[-1]
        return flow[..., :height, :width]


def _grey(frames: Tensor) -> list[NDArray[np.uint8]]:
    return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in to_bytes(frames)]


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


def warp(frames: Tensor, flow: Tensor) -> Tensor:
    """Backward warp: the output at p is ``frames`` at p + flow(p), bilinear, the border repeated outside.

    Args:
        frames: (N, C, H, W).
        flow: (N, 2, H, W), (x, y) in pixels.
    """
    height, width = frames.shape[-2:]
    rows = torch.arange(height, device=flow.device, dtype=flow.dtype).view(1, height, 1)
    columns = torch.arange(width, device=flow.device, dtype=flow.dtype).view(1, 1, width)
    x = (columns + flow[:, 0]) * (2 / max(width - 1, 1)) - 1
    y = (rows + flow[:, 1]) * (2 / max(height - 1, 1)) - 1
    grid = torch.stack((x, y), dim=-1).to(frames.dtype)
    return functional.grid_sample(frames, grid, mode="bilinear", padding_mode="border", align_corners=True)


def visible(forward: Tensor, backward: Tensor) -> Tensor:
    """The pixels of the first frame that the second shows too, away from motion boundaries.

    With the backward flow warped onto the first frame, a pixel is occluded where
    |F + B|² > 0.01 (|F|² + |B|²) + 0.5 and lies on a motion boundary where |∇F|² > 0.01 |F|² + 0.002
    (Sundaram et al. 2010, with the constants of EvalCrafter's warping error).

    Args:
        forward: (N, 2, H, W) flow from the first frame to the second, pixels.
        backward: (N, 2, H, W) flow from the second frame to the first, pixels.

    Returns:
        (N, 1, H, W) bool.
    """
    returned = warp(backward, forward)
    occluded = _square(forward + returned) > 0.01 * (_square(forward) + _square(returned)) + 0.5
    along_x = functional.pad(forward.diff(dim=3), (0, 1, 0, 0))
    along_y = functional.pad(forward.diff(dim=2), (0, 0, 0, 1))
    boundary = _square(along_x) + _square(along_y) > 0.01 * _square(forward) + 0.002
    return ~(occluded | boundary)


def _square(vectors: Tensor) -> Tensor:
    return vectors.square().sum(dim=1, keepdim=True)
