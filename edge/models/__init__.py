"""Models: which this machine has, where others come from, and bringing them here."""
