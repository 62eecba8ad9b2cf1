"""The gaze node."""
