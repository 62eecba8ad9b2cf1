"""Animates one picture of a face on the CPU: geometry of the face, warping, eyes and mouth."""
