"""Model cards, the model cache, and what is derived from a model."""
