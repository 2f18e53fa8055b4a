"""Every fault of a dataset, found before anything is trained on it."""
