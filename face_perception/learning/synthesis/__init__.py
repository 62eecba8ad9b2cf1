"""Synthetic people and speech whose true labels are known."""
