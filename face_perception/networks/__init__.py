"""The published networks in PyTorch, the import of their checkpoints, and ONNX export.

Entered by file, one network or one import each. Needs torch and onnx (the extra ``networks``);
nothing that runs on a robot imports this room.
"""
