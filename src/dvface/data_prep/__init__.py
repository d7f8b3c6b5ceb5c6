"""Paired data sets made of clean footage: what `dvface degrade` does."""
