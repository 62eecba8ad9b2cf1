"""Accuracy of the product's outputs on public labelled sets; `bench/people.py` is the command.

One measure a file. Data sets are read where the user has put them; nothing of them is kept.
"""
