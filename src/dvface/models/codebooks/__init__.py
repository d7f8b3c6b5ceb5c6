"""Learned dictionaries of facial features and the rules that map features to their entries."""
