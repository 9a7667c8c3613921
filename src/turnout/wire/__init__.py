"""The outside formats: OpenAI JSON, server-sent events, error bodies. Lenient by design."""
