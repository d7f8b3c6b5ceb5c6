"""Degradations of NumPy clips: operators, and recipes that chain them and replay their draws bit for bit."""
