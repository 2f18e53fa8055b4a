"""Tables, plots and figures."""
