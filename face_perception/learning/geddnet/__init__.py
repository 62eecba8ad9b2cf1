"""GEDDnet (Chen and Shi, TPAMI 2022): gaze by dilated convolutions and gaze decomposition.

Its layers, export and import also serve Dilated-Net, an earlier network of the same authors.
"""
