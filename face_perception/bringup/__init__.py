"""Starts the graph: what runs with which parameters, launch helpers, supervisor, demo, watch."""
