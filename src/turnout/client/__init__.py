"""The client: RouteLLM's `Controller`, OpenAI-shaped, sync and async."""

from turnout.client.replies import decision_of

__all__ = ["decision_of"]
