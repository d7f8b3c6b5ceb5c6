"""Blocks of frames × pixels, and an orthonormal wavelet basis for them."""

from contextlib import AbstractContextManager, nullcontext

import torch
from einops import rearrange
from torch import Tensor


def repeat_first(video: Tensor, stride: int) -> Tensor:
    """(B, C, stride·k+1, H, W) to (B, C, stride·(k+1), H, W): the first frame fills a group of its own."""
    first = video[:, :, :1].expand(-1, -1, stride, -1, -1)
    return torch.cat([first, video[:, :, 1:]], dim=2)


def merge_first(video: Tensor, stride: int) -> Tensor:
    """The inverse of `repeat_first`: the first group becomes one frame, the mean of its copies."""
    return torch.cat([video[:, :, :stride].mean(dim=2, keepdim=True), video[:, :, stride:]], dim=2)


def to_blocks(video: Tensor, temporal_stride: int, spatial_stride: int) -> Tensor:
    """(B, C, T, H, W) to (B, T', h, w, C, temporal_stride·spatial_stride²), samples in order time, row, column."""
    return rearrange(
        repeat_first(video, temporal_stride),
        "b c (t p) (h q) (w r) -> b t h w c (p q r)",
        p=temporal_stride,
        q=spatial_stride,
        r=spatial_stride,
    )


def from_blocks(blocks: Tensor, temporal_stride: int, spatial_stride: int) -> Tensor:
    """The inverse of `to_blocks`."""
    video = rearrange(
        blocks,
        "b t h w c (p q r) -> b c (t p) (h q) (w r)",
        p=temporal_stride,
        q=spatial_stride,
    )
    return merge_first(video, temporal_stride)


def haar_matrix(levels: int) -> Tensor:
    """(2^levels, 2^levels) float64: orthonormal Haar wavelets as rows, the mean first, then coarse to fine.

    Haar 1910; the recursion is: the coarser basis applied to sums of neighbours, then their differences.
    """
    basis = torch.ones(1, 1, dtype=torch.float64, device="cpu")
    for _ in range(levels):
        sums = torch.kron(basis, basis.new_tensor([[1.0, 1.0]]))
        places = torch.eye(len(basis), dtype=torch.float64, device="cpu")
        differences = torch.kron(places, basis.new_tensor([[1.0, -1.0]]))
        basis = torch.cat([sums, differences]) / 2**0.5
    return basis


def haar_blocks(temporal_levels: int, spatial_levels: int) -> Tensor:
    """(N, N) float64 for blocks of N = 2^temporal_levels · 4^spatial_levels samples, orthonormal rows.

    Each row is a product of one wavelet along time, one along height and one along width. Rows are sorted by the
    sum of the three levels of detail (0 is the mean), so that the first rows are the coarsest.
    """
    time, space = haar_matrix(temporal_levels), haar_matrix(spatial_levels)
    basis = torch.kron(time, torch.kron(space, space))
    detail = [_detail(row) for row in range(len(time))]
    fine = [_detail(row) for row in range(len(space))]
    sums = torch.tensor([t + v + h for t in detail for v in fine for h in fine], device="cpu")
    return basis[torch.argsort(sums, stable=True)]


def _detail(row: int) -> int:
    """Level of detail of a row of `haar_matrix`: 0 for the mean, then 1, 2, 2, 3, 3, 3, 3, …"""
    return row.bit_length()


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """No autocast: a wavelet coefficient is up to 16 times a pixel, and bfloat16 has 8 bits for both."""
    device = like.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
