"""Model cards, the model cache, imported models, and variants of models."""
