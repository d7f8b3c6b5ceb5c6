"""dvface: an open, modular laboratory for video face restoration, built around DVFace (arXiv 2604.14560)."""

from typing import TYPE_CHECKING, Any

from dvface.version import __version__

if TYPE_CHECKING:
    from dvface.inference.restorer import Restorer

__all__ = ["Restorer", "__version__"]


def __getattr__(name: str) -> Any:
    """`Restorer` is imported when it is first used: it brings PyTorch along, which `dvface --help` can do without."""
    if name == "Restorer":
        from dvface.inference.restorer import Restorer

        return Restorer
    raise AttributeError(f"module 'dvface' has no attribute {name!r}")
