"""One torchmetrics.Metric per measure of restored video, and the suite that runs several."""
