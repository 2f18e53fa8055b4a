"""3D networks, each a module and a line in the registry."""
