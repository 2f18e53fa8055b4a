"""Typed settings, one module a workflow stage, so that a stage depends on its own section alone."""
