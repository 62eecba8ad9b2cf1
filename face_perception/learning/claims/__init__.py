"""Puts the papers' claims to the test, and compares estimators on the same images."""
