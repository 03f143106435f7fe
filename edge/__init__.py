"""Diffusion: a model loaded once, and the front end that takes jobs from a broker."""
