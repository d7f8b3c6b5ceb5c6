"""Layers that start as nothing."""

from torch import nn


def zero(layer: nn.Module) -> nn.Module:
    """The layer with all parameters zero, so that what it adds is nothing until it is trained."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
