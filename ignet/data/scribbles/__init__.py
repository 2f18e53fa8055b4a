"""Scribbles simulated from dense labels."""
