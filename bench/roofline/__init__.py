"""Estimates how fast the networks could run on GPUs on which they were not measured."""
