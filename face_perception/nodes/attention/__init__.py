"""The attention node."""
