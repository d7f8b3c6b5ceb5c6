"""Stages as Lightning modules, and the chain that trains them one after another."""
