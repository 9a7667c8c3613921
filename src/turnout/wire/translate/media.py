"""Data URLs, media types and tool ids: small forms that the dialects write differently."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from turnout.errors import RequestError
from turnout.wire.reading import Kind
from turnout.wire.translate.neutral import CacheMark, File, Image

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*(;base64)?,", re.ASCII)
_TOOL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_USER_CAP = 64


def split_data_url(url: str, field: str) -> tuple[str, str] | None:
    """Media type and base64 data of a data URL; None for another URL.

    Raises:
        RequestError: a data URL that is not in base64.
    """
    if not url.startswith("data:"):
        return None
    found = _DATA_URL.match(url)
    if found is None or not found.group(2):
        raise RequestError(field, Kind("a data URL"), "write it as data:image/png;base64,…")
    return found.group(1) or "text/plain", url[found.end() :]


def data_url(media_type: str | None, data: str) -> str:
    """A data URL."""
    return f"data:{media_type or 'application/octet-stream'};base64,{data}"


def image_of_url(
    url: str, field: str, *, detail: str | None = None, cache: CacheMark | None = None
) -> Image:
    """An image given by a URL, whose data may stand in it."""
    inside = split_data_url(url, field)
    if inside is None:
        return Image(url=url, detail=detail, cache=cache)
    return Image(media_type=inside[0], data=inside[1], detail=detail, cache=cache)


def url_of_image(image: Image) -> str:
    """The URL of an image, with its data inside where it has data."""
    return image.url if image.url is not None else data_url(image.media_type, image.data or "")


def file_of_data(
    data: str, field: str, *, name: str | None = None, cache: CacheMark | None = None
) -> File:
    """A file given as a data URL or as bare base64, whose type its name then tells."""
    inside = split_data_url(data, field)
    if inside is not None:
        return File(media_type=inside[0], data=inside[1], name=name, cache=cache)
    plain = name is not None and name.endswith((".txt", ".md"))
    form = "text/plain" if plain else "application/pdf"
    return File(media_type=form, data=data, name=name, cache=cache)


def decoded_text(data: str, field: str) -> str:
    """The text of base64 data in UTF-8.

    Raises:
        RequestError: it is neither.
    """
    try:
        return base64.b64decode(data, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        where = Kind("its data")
        raise RequestError(field, where, "give base64 of text in UTF-8") from None


def tool_id(given: str) -> str:
    """An id that every dialect takes: letters, digits, `_` and `-`, 64 at most.

    Another is made into one, always the same, so that a call and its result still meet.
    """
    if _TOOL_ID.match(given):
        return given
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', given)[:48]}_{digest}"


def user_id(given: str) -> str:
    """An end user's id within OpenAI's 64 characters; a longer one is hashed, always alike."""
    if len(given) <= _USER_CAP:
        return given
    return hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()
