"""Providers that speak none of the three APIs, by the litellm library, in a process of its own."""
