"""How fast things are, as ratios against a named rival in one run."""
