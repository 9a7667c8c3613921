"""Calls of upstreams: a request, the attempts that it takes, its answer, and the record of all of it."""
