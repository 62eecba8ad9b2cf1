"""Everything that imports torch: published networks, training, evaluation, synthetic data."""
