"""LR-ASD (Liao et al., IJCV 2025): whether a face in view speaks, from its pictures and sound."""
