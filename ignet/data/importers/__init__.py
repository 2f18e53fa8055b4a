"""Other data sets and sensors, brought into the layout that the workflow reads: one module and one line in the registry
for each."""
