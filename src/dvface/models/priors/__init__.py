"""The spatio-temporal dual codebook (the paper's Figure 2b): what it reads from degraded pixels is the prior."""
