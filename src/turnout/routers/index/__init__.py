"""Vector indexes: ids and vectors in, nearest ids out. One protocol, four stores."""
