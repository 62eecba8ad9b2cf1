"""Imports gaze and expression networks from ONNX files, as a card describes them. Needs onnx."""
