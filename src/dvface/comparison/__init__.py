"""Runs side by side: means, tests against a baseline, pictures, and what may be concluded from them."""
