"""Ends with 0 where the gateway of this container is ready: a health check without curl."""

import http.client
import os
import sys


def main() -> int:
    """Ask `/readyz` on the port that the gateway was told; a plain connection, so that no proxy is asked."""
    port = int(os.environ.get("TURNOUT_PORT", "8080"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read(2000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        print(f"not reached: {error}", file=sys.stderr)
        return 1
    print(said)
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
