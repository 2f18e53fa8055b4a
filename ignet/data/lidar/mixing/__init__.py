"""Mixing of scans: FOVMix."""
