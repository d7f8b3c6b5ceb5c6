"""How the prior enters the backbone: the asymmetric spatio-temporal fusion (Figure 2c) and its ablations."""
