"""One module a command of ``face-perception``: its arguments, and what it does.

Each offers ``add_parser(subparsers)`` and ``run(args) -> exit code``, and imports what is heavy
(networks, ROS) only when it runs.
"""
