"""What networks are trained with: losses and samplers; recipes; converters of published data sets.

Entered by file, as ``networks`` is. Needs torch; nothing that runs on a robot imports this room.
"""
