"""Dilated-Net (Chen and Shi, 2018): gaze by dilated convolutions."""
