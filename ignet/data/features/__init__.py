"""2D features of the points that the camera sees, on disk."""
