"""Measures an installed model on a data set, by the protocols of the published papers."""
