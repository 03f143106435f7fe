"""EEG in, features out. Knows streams, filters and bands; knows nothing of pictures."""
