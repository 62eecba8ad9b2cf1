"""Where frames are shown: a window, a web page."""
