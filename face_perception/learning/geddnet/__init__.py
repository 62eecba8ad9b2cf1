"""GEDDnet (Chen and Shi, 2020): gaze by dilated convolutions and gaze decomposition."""
