"""The version of dvface, which is written into every model folder."""

__version__ = "0.1.0"
