"""The hri node: publishes the results under /humans, as REP-155 defines it, and as frames."""
