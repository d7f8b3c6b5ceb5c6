"""Two-dimensional networks over the frames of a clip, with a memory of the frame before.

Memory block and the joining and splitting of frames are those of TAEHV (github.com/madebyollin/taehv); the names
of submodules follow its public files, so that these load.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def convolution(inputs: int, outputs: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """3×3, keeping height and width at stride 1."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=bias)


class MemoryBlock(nn.Module):
    """A residual block over a frame's features and the same features of the frame before.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            convolution(2 * channels, channels),
            nn.ReLU(),
            convolution(channels, channels),
            nn.ReLU(),
            convolution(channels, channels),
        )

    def forward(self, frames: Tensor, past: Tensor) -> Tensor:
        """Both (N, C, H, W); ``past`` is all zeros where there is no frame before."""
        return functional.relu(self.conv(torch.cat([frames, past], dim=1)) + frames)


class JoinFrames(nn.Module):
    """Each ``count`` frames become one.

    Args:
        channels: of the features.
        count: frames to join.
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.conv = nn.Conv2d(channels * count, channels, 1, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        """(N·count, C, H, W) to (N, C, H, W)."""
        return self.conv(frames.reshape(-1, self.count * frames.shape[1], *frames.shape[2:]))


class SplitFrames(nn.Module):
    """Each frame becomes ``count``.

    Args:
        channels: of the features.
        count: frames to make.
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels * count, 1, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, C, H, W) to (N·count, C, H, W)."""
        return self.conv(frames).reshape(-1, *frames.shape[1:])


class FrameNetwork(nn.Sequential):
    """Layers over frames, one after another; memory blocks see the frame before, so no frame sees a later one.

    Frames that `JoinFrames` joins see one another.
    """

    def forward(self, video: Tensor) -> Tensor:
        """(B, C, T, H, W) to (B, C', T'', H', W')."""
        batch = video.shape[0]
        frames = video.transpose(1, 2).flatten(0, 1)
        for layer in self:
            frames = layer(frames, _before(frames, batch)) if isinstance(layer, MemoryBlock) else layer(frames)
        return frames.unflatten(0, (batch, -1)).transpose(1, 2)


def _before(frames: Tensor, batch: int) -> Tensor:
    """(B·T, C, H, W): each clip's frames one later, zeros first."""
    clips = frames.unflatten(0, (batch, -1))
    return torch.cat([torch.zeros_like(clips[:, :1]), clips[:, :-1]], dim=1).flatten(0, 1)
