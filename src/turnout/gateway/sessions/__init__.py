"""Conversations: which one a request belongs to, and how replicas share them."""
