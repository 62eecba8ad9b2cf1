"""Turns text into speech: what a voice is, the voices of this package, and how to add one."""
