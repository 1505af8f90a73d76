"""Servers that the load can be put on: ours, the limit, and others that do the same work."""
