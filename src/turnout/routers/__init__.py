"""Routers predict the quality of each candidate; they never choose."""

from turnout.routers.base import Router

__all__ = ["Router"]
