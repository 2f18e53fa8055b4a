"""The embedded world: a seeded street, its LiDAR, its camera and its scribbles."""
