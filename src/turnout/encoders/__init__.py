"""Encoders turn text into vectors."""

from turnout.encoders.base import Encoder

__all__ = ["Encoder"]
