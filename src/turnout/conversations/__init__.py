"""Conversations: which model serves one, and when it may be another."""
