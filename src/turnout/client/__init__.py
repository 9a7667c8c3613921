"""The drop-in client."""
