"""Optical flow: estimators without a network, backward warping, and which pixels a flow can be trusted on."""

from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dvface.perception.pixels import to_bytes


class FlowEstimator(Protocol):
    """Whatever estimates optical flow.

    Attributes:
        name: goes into the names of the measures made with it.
        file_name: of its pretrained network, None where there is none.
        least_side: pixels that frames need along each side.
    """

    name: str
    file_name: str | None
    least_side: int

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
    least_side = 12

    def flow(self, first: Tensor, second: Tensor) -> Tensor:
        """See `FlowEstimator.flow`; runs on the CPU. Frames need at least 12 × 12 pixels (OpenCV's limit)."""
        estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        pairs = zip(_grey(first), _grey(second), strict=True)
        flows = [estimator.calc(one, other, None) for one, other in pairs]  # type: ignore[call-overload]
        return _stacked(flows).to(first.device)


class FarnebackFlow:
    """Polynomial expansion (Farnebäck 2003), OpenCV's, on 8-bit grey; no network.

    Its settings are those of TecoGAN's tOF (Chu et al. 2020): 3 levels that halve, a window of 15 pixels, 3
    iterations, polynomials fitted to 5 pixels with σ = 1.2.
    """

    name = "farneback"
    file_name: str | None = None
    least_side = 1

    def flow(self, first: Tensor, second: Tensor) -> Tensor:
        """See `FlowEstimator.flow`; runs on the CPU."""
        pairs = zip(_grey(first), _grey(second), strict=True)
        flows = [
            cv2.calcOpticalFlowFarneback(  # type: ignore[call-overload]
                one,
                other,
                None,
                pyr_scale=0.5,
                levels=3,
                winsize=15,
                iterations=3,
                poly_n=5,
                poly_sigma=1.2,
                flags=0,
            )
            for one, other in pairs
        ]
        return _stacked(flows).to(first.device)


def _grey(frames: Tensor) -> list[NDArray[np.uint8]]:
    return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in to_bytes(frames)]


def _stacked(flows: list[NDArray[np.float32]]) -> Tensor:
    return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2)


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
