"""Backbones: one step from degraded latents to restored ones."""
