"""Data sets on disk, and converters of published data sets."""
