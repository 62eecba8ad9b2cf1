"""The talking face node."""
