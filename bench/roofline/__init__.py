"""Estimates how fast the networks could run on GPUs that nobody measured them on."""
