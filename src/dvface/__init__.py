"""dvface: an open, modular laboratory for video face restoration, built around DVFace (arXiv 2604.14560)."""

__version__ = "0.1.0"
