"""The commands of ``face-perception``, one module for each.

A command's module has ``add_parser(subparsers)`` and ``run(args)``, which returns the exit code.
``cli.COMMANDS`` names it. It imports NumPy, networks and ROS only inside ``run``, so that
``--help`` stays fast.
"""
