"""Makes the default models from the files that packages carry. Used only at set-up."""
