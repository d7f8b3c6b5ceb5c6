"""Pairs of videos to numbers, tables and pictures."""
