"""Filters that refuse clips, one quality each; thresholds are in ``conf/filters``."""
