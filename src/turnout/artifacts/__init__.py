"""Save, load and verify what was fitted."""
