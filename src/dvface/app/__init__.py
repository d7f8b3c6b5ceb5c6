"""A web page that restores videos on the machine that serves it."""
