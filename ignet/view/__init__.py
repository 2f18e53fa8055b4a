"""A look at a workflow while it runs: ``ignet view``."""
