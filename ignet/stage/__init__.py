"""What the scripts of all stages share: command line, code identity, fingerprint of the data, time limit."""
