"""Plays speech: queue of samples, audio clock, players, and the feed of the mouth model."""
