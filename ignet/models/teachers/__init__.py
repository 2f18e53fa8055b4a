"""What turns camera images into features: each kind of network a module and a line in the registry."""
