"""Servers that end as soon as they can: each test of the express way runs one or two of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn.server

MOST_S = 0.01
"""Of uvicorn's pauses between two looks at whether it is to end."""


class _Hurried:
    """`asyncio` as uvicorn's server sees it, with shorter pauses."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, MOST_S))


@pytest.fixture(scope="package", autouse=True)
def _servers_in_a_hurry() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", _Hurried())
        yield
