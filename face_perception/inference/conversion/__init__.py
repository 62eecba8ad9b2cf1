"""Converts the default models from TFLite and other formats to ONNX. Used only at set-up."""
