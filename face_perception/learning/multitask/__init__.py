"""Multitask networks for AU, expression and VA, from incomplete labels (Deng et al., FG 2020)."""
