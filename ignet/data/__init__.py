"""Datasets on disk, the geometry between LiDAR and camera, and training samples."""
