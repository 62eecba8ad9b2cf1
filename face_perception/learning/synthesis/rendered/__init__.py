"""People made of free parts and rendered, so that gaze, head pose, action units and more are known.

Needs what ``packages.need_renderer`` names, and only while it renders.
"""
