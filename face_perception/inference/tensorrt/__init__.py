"""Builds, caches and runs TensorRT engines."""
