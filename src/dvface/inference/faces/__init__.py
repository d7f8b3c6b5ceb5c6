"""Restoring every face of a video where it stands: find and follow them, restore aligned squares, paste them back."""
