"""Questions asked of many training runs: the same experiments, seeds and budget, one variable."""
