"""Composed configurations: compose, check, build, compare."""
