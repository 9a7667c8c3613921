"""What happens in a stream, in one form for the three dialects.

    Start, then for each block Open, Delta…, Sign?, Close, and at last Finished or Failed.

Blocks have their own index, in order of opening. Several may be open at once, as when a provider writes
two tool calls side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from turnout.types import Usage
from turnout.wire.errors import UpstreamFault
from turnout.wire.translate.neutral import Finish, Origin

BlockKind: TypeAlias = Literal["text", "refusal", "thinking", "redacted", "call", "custom"]


@dataclass(frozen=True, slots=True)
class Start:
    """The reply begins."""

    id: str
    model: str
    created: int | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """A block begins. A call has the id and the name of its tool; redacted thinking has its data."""

    index: int
    kind: BlockKind
    id: str = ""
    name: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """More text of a block: prose, reasoning, or the JSON of a call's arguments."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Sign:
    """What the maker of a thinking block needs to read it back."""

    index: int
    signature: str
    origin: Origin
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """A block ends."""

    index: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The reply is complete."""

    finish: Finish
    usage: Usage | None = None
    stop_sequence: str | None = None
    tier: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The reply breaks off: the upstream says so, or its stream cannot be read on."""

    fault: UpstreamFault


@dataclass(frozen=True, slots=True)
class Ping:
    """Nothing yet; the upstream is there."""


Event: TypeAlias = Start | Open | Delta | Sign | Close | Finished | Failed | Ping
