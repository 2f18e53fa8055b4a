"""The workflow seen from outside: what Snakemake would run, and why."""
