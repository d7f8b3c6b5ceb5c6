"""Weights by arithmetic alone, the same with every version of every library."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def numbers(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Float64 in [-1, 1) that look random: the bits of a place's number, mixed as in splitmix64."""
    bits = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64((seed + 1) << 32)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return ((bits >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1).reshape(shape)


def formula_state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A state for networks of convolutions, batch norms and a last layer, in which signals keep their size.

    Args:
        shapes: name of a tensor -> its shape; numbers depend on the place in the sorted names.
    """
    state = {}
    for seed, (name, shape) in enumerate(sorted(shapes.items())):
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(0)
            continue
        values = numbers(shape, seed)
        if len(shape) > 1:
            values *= (6 / np.prod(shape[1:])) ** 0.5
        elif name.endswith("running_var"):
            values = 1 + values / 2
        else:
            values = (1.0 if name.endswith("bn.weight") else 0.0) + values / 4
        state[name] = torch.from_numpy(values).float()
    return state
