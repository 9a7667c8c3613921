"""One call to one upstream, without policy."""
