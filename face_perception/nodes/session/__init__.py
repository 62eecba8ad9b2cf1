"""The session node: records a session into a folder, with markers."""
