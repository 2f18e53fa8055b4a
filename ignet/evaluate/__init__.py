"""Metrics as functions of arrays."""
