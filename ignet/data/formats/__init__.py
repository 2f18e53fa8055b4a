"""Files of the data sets that are read: scans, labels, images, calibrations, published splits."""
