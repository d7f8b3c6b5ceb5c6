"""How known data sets lie on the disk."""
