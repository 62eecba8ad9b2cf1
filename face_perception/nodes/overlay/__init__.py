"""The overlay node: draws the results on the image, and publishes them as data for viewers."""
