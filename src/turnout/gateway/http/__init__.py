"""Connections: what comes in over HTTP, what goes out, and how much of it at a time."""
