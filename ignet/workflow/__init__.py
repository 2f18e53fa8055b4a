"""The workflow seen from outside: its plan, its reasons, its costs."""
