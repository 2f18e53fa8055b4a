"""The terms of the 3D objective, one module each, and the registry that lists them."""
