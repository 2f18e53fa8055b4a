"""Training samples of the 2D network."""
