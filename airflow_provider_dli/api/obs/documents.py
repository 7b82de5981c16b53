# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the XML of OBS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser
from xml.parsers.expat import errors
from xml.sax.saxutils import escape

from airflow_provider_dli.api.obs.models import Part
from airflow_provider_dli.api.protocol.errors import RefusedInBodyError, WireError
from airflow_provider_dli.api.protocol.wire import Response

_BAD_CHARACTERS = {
    errors.codes[errors.XML_ERROR_BAD_CHAR_REF],
    errors.codes[errors.XML_ERROR_INVALID_TOKEN],
}

# The characters that XML 1.0 cannot represent.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class UnwritableError(WireError):
    """A complete document with characters that XML cannot represent."""


class _Builder(TreeBuilder):
    """Refuses declarations of entities: a few lines of them can expand to gigabytes."""

    def start(self, tag: str, attributes: dict[str, str], /) -> Element:
        # Without its namespace.
        return super().start(tag.rpartition("}")[2], attributes)

    def doctype(self, *_: object) -> None:
        raise WireError("its XML has a DOCTYPE")


def document(response: Response, name: str) -> Element:
    """Returns the root of an answer's XML, whose name begins with `name`.

    Raises `WireError` if it is not such a document, `UnwritableError` if it has characters that XML
    cannot represent.
    """
    body = bytes(response.body)
    parser = XMLParser(target=_Builder())  # noqa: S314 - it refuses entities
    try:
        parser.feed(body)
        root: Element = parser.close()
    except ParseError as error:
        is_whole = body.rstrip().endswith(f"</{name}>".encode())
        kind = UnwritableError if is_whole and error.code in _BAD_CHARACTERS else WireError
        raise kind(f"it cannot be read as a {name}") from None
    if root.tag == "Error":
        raise RefusedInBodyError("it reports an error")
    if not root.tag.startswith(name):
        raise WireError(f"it is not a {name}")
    return root


def text(element: Element, name: str, default: str | None = None) -> str:
    """Returns the text of a child; raises `WireError` if it is missing and has no default."""
    found = element.findall(name)
    if len(found) > 1:
        raise WireError(f"{element.tag} has more than one {name}")
    if found:
        return found[0].text or ""
    if default is None:
        raise WireError(f"{element.tag} has no {name}")
    return default


def flag(element: Element, name: str, default: str | None = None) -> bool:
    """Whether a child is `true`."""
    value = text(element, name, default).strip().lower()
    if value not in {"true", "false"}:
        raise WireError(f"{name} is neither true nor false")
    return value == "true"


def number(element: Element, name: str) -> int:
    """Returns the number of a child, which must not be negative."""
    value = text(element, name).strip()
    if not (value.isascii() and value.isdigit()):
        raise WireError(f"{name} is not a number from 0 on")
    return int(value)


def time(element: Element, name: str) -> float:
    """Returns the time of a child in Unix seconds."""
    try:
        found = datetime.fromisoformat(text(element, name).strip())
    except ValueError:
        raise WireError(f"{name} is not a time") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def has_encoded_keys(root: Element) -> bool:
    """Whether the keys of a document are encoded."""
    return text(root, "EncodingType", "").strip().lower() == "url"


def key(element: Element, name: str, *, is_encoded: bool) -> str:
    """Returns the key in a child, decoded."""
    value = text(element, name)
    if not value:
        raise WireError(f"{name} is empty")
    return unquote_plus(value) if is_encoded else value


def is_writable(key: str) -> bool:
    """Whether XML can represent a key."""
    return _UNWRITABLE.search(key) is None


def deletion(keys: Iterable[str]) -> bytes:
    """Returns the document that deletes objects; its answer lists only those that failed."""
    objects = "".join(f"<Object><Key>{_escaped(key)}</Key></Object>" for key in keys)
    return f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()


def completion(parts: Sequence[tuple[int, Part]]) -> bytes:
    """Returns the document that completes an upload with its numbered parts."""
    listed = "".join(
        f'<Part><PartNumber>{number}</PartNumber><ETag>"{escape(part.etag)}"</ETag></Part>'
        for number, part in parts
    )
    return f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()


def _escaped(key: str) -> str:
    # A reader turns an unescaped carriage return into a line feed.
    return escape(key, {"\r": "&#13;"})
