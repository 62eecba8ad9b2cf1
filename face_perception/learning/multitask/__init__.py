"""Multitask AU, expression and VA networks from incomplete labels (Deng et al., 2020)."""
