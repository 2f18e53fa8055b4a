"""Where LiDAR points lie in a camera image."""
