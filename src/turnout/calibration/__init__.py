"""Knobs: from win rates to a threshold, with intervals."""
