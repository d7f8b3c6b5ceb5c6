"""Frames and a trunk that any environment makes alike, for numbers that other packages gave on them."""

from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image
from torch import nn
from torchvision.models import alexnet


def clean_and_worse(frames: int = 1, top: int = 0, left: int = 0, side: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """A camera that pans over a portrait, (T, side, side, 3) uint8, and what a bad codec may leave of it."""
    portrait = np.asarray(Image.open(Path(skimage.__file__).parent / "data/astronaut.png")).astype(int)
    numbers = range(frames)
    clean = np.stack([np.roll(portrait, (-top - k, -left - 2 * k), (0, 1))[:side, :side] for k in numbers])
    soft = sum(np.roll(clean, (dy, dx), (1, 2)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)) // 9
    time, y, x = np.indices(clean.shape[:3])
    noise = (7 * x + 13 * y + 5 * time * time + x * y) % 17 - 8
    worse = (soft + noise[..., None] + (3 + time % 3)[..., None]).clip(0, 255)
    return clean.astype(np.uint8), worse.astype(np.uint8)


def as_clip(frames: np.ndarray) -> torch.Tensor:
    """(T, H, W, 3) uint8 -> (1, 3, T, H, W) in [-1, 1]."""
    return torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def made_up_alexnet() -> dict[str, torch.Tensor]:
    """AlexNet's convolutions by torchvision's names, of numbers that look random but are a formula's."""
    state = {}
    for place, layer in enumerate(alexnet(weights=None).features):
        if isinstance(layer, nn.Conv2d):
            count = np.arange(layer.weight.numel(), dtype=float)
            weight = np.sin(12.9898 * count + 78.233 * np.sin(count + place)) * np.sqrt(6 / layer.weight[0].numel())
            bias = 0.1 * np.sin(np.arange(len(layer.bias)) + place)
            state[f"features.{place}.weight"] = torch.from_numpy(weight).float().view_as(layer.weight)
            state[f"features.{place}.bias"] = torch.from_numpy(bias).float()
    return state
