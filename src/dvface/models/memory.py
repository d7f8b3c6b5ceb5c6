"""How much memory a process has used."""

import resource
import sys

import torch


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that tensors held on a GPU at once, for any other device the most that this process held."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # macOS counts bytes, Linux kilobytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
