"""Prepares MuseTalk avatars and renders their mouths from speech."""
