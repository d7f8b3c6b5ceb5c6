"""Where pretrained third-party files come from; `dvface.weights.catalogue` lists them."""

from dvface.weights.lookup import (
    FOLDER_VARIABLE,
    Form,
    Found,
    PackagedFile,
    Weights,
    WeightsMissing,
    cache_folder,
    noting_finds,
)
from dvface.weights.tensors import read_tensors

__all__ = [
    "FOLDER_VARIABLE",
    "Form",
    "Found",
    "PackagedFile",
    "Weights",
    "WeightsMissing",
    "cache_folder",
    "noting_finds",
    "read_tensors",
]
