"""Graders: how good an answer is, in [0, 1]."""
