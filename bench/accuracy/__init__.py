"""Accuracy of the product's outputs on public labelled sets; `bench/people.py` is the command.

One file for each measure. Reads data sets from the user's folder and keeps nothing of them.
"""
