"""A small model for action units and a robot's CPU: it sees a face and needs no neutral one."""
