"""The service: the map, the jobs, the EEG merged into them, and the edges that run them."""
