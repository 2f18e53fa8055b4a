"""Other data sets and sensors in the layout that the workflow reads: one module and one line each."""
