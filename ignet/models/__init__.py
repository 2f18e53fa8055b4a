"""2D and 3D networks, and the seam to the sparse convolution engines."""
