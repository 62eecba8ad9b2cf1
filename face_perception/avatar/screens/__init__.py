"""Shows frames in a window or on a web page."""
