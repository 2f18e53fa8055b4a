"""Mixing of scans: one strategy a module, and the registry that lists them."""
