"""Outcomes: what models scored on prompts."""
