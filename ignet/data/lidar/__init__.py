"""Training samples of the 3D network."""
