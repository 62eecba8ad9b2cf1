"""The people node."""
