"""MuseTalk: prepares an avatar, and renders its mouth from speech."""
