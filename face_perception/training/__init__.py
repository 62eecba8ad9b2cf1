"""What networks are trained with: losses and samplers. Recipes come with a later version.

Entered by file, as ``networks`` is. Needs torch; nothing that runs on a robot imports this room.
"""
