"""Video autoencoders: pixels to latents and back."""
