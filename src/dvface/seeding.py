"""Randomness as a pure function of (seed, role, rank, worker, epoch, sample key)."""

import hashlib

import numpy as np


def derive_seed(seed: int, *keys: str | int) -> int:
    """A 63-bit seed that depends on ``seed`` and every key, in order, and on nothing else.

    Python's own ``hash`` changes between processes; SHA-256 does not, so a sample drawn in one worker can be
    drawn again in another process, on another machine, in another year.
    """
    text = "\x1f".join([str(seed), *(f"{type(key).__name__}:{key}" for key in keys)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def derive_generator(seed: int, *keys: str | int) -> np.random.Generator:
    """A NumPy generator seeded by `derive_seed`."""
    return np.random.default_rng(derive_seed(seed, *keys))
