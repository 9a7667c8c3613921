"""How a row of a report came about, which says what it may be compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

RowKind = Literal["baseline", "transfer", "given", "in-domain", "published"]

KINDS: Mapping[RowKind, str] = {
    "baseline": "no learning",
    "transfer": "saw no label of this benchmark",
    "given": "an artifact of your own: transfer only if it saw none of these prompts",
    "in-domain": "fitted on other prompts of this benchmark",
    "published": "as printed by its authors, not run here",
}
