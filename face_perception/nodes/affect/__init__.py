"""The affect node."""
