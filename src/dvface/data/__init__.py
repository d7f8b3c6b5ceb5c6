"""Shards of clips, streamed to training, and the real footage that a fresh machine has."""
