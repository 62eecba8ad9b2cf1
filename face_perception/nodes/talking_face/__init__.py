"""The talking_face node: speech in, an animated face and its sound out."""
