"""Pages from a package's templates. Everything that is not markup of our own is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment, Template


@cache
def environment(package: str) -> Environment:
    """The templates beside a package's modules; what a page does not know is an error."""
    # At the first page: it takes a twentieth of a gateway's start to import.
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        autoescape=True,
        loader=FunctionLoader(partial(read, package)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def template(
    package: str, name: str, filters: Mapping[str, Callable[..., str]] | None = None
) -> Template:
    """One of them, which is read once.

    Args:
        package: whose file it is.
        name: of the file.
        filters: of this package's pages.
    """
    found = environment(package)
    found.filters |= dict(filters or {})
    return found.get_template(name)


def read(package: str, name: str) -> str:
    """A file of a package, as it is."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
