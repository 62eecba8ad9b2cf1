"""The voice node: says texts."""
