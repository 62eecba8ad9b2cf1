"""Plays speech: the queue of samples, the audio clock, the players, and the mouth's share of it."""
