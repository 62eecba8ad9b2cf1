"""A small gaze network for a robot's CPU: both eyes and what landmarks tell."""
