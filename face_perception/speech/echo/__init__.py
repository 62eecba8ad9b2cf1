"""Removes the robot's own voice from what its microphone hears.

Use it through ``face_perception.speech``.
"""
