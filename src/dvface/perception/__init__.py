"""Third-party eyes that metrics, losses and inference share: optical flow, perceptual distance, faces."""
