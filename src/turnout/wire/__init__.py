"""The outside formats: OpenAI's and Anthropic's JSON, server-sent events, error bodies. Lenient by design."""
