"""Classes: raw ids, names, colours, and what the camera's classes say of them."""
