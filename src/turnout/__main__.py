"""`python -m turnout` is `turnout`."""

from __future__ import annotations

from turnout.cli import main

if __name__ == "__main__":
    main()
