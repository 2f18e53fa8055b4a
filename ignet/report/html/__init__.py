"""The report that opens in a browser: one file, no network."""
