"""MLflow runs: record them, find them again, compare them."""
