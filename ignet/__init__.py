"""LiDAR semantic segmentation from cheap labels, with the help of a camera."""

__version__ = "0.1.0"
