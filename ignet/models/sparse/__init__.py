"""Sparse 3D convolution: the one place that knows a sparse engine."""
