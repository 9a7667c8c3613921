"""Fit routers on outcomes."""
