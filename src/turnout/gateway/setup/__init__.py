"""From settings to the things that serve."""
