"""What every training shares: the loop, EMA, checkpoints."""
