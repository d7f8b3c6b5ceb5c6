"""The command line: `dvface <command> [hydra overrides]`."""
