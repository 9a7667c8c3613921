"""A small HTTP/1.1 client for the hot path: what a gateway needs of one, and nothing else."""
