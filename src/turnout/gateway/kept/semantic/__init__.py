"""Answers that are given to questions of the same meaning, and how often that is wrong."""
