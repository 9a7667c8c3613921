"""What is kept of requests: a journal that no crash loses, and a database that it is folded into."""
