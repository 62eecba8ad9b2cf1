"""Dilated-Net (Chen and Shi, ACCV 2018): gaze from both eyes by dilated convolutions.

It is GEDDnet's network without the face: its export and import are those of ``geddnet``.
"""
