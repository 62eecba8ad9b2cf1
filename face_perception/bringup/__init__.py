"""Starts and watches the graph: graph description, launch helpers, supervisor, demos, table."""
