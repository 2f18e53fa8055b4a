"""Files: whole or not there, what they are called, and arrays of different lengths in one of them."""
