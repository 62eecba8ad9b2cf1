"""MIMAMO-Net (Deng et al., 2020): valence and arousal from video."""
