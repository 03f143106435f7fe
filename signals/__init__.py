"""EEG in, features out. Knows streams, filters and bands; knows nothing of pictures."""

import os

# The matrices here are small: more threads would only wait for each other, and take a core from the edge.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
