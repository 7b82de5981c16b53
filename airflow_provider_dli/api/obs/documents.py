# SPDX-License-Identifier: Apache-2.0
"""The XML of OBS, read and written."""

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

# Everything that XML 1.0 has no way to write.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class UnwritableError(WireError):
    """A whole document, but with characters that XML cannot carry."""


class _Builder(TreeBuilder):
    """Refuses what declares entities: a few lines of those can unfold to gigabytes."""

    def start(self, tag: str, attributes: dict[str, str], /) -> Element:
        # With or without its namespace.
        return super().start(tag.rpartition("}")[2], attributes)

    def doctype(self, *_: object) -> None:
        raise WireError("its XML has a DOCTYPE")


def document(response: Response, name: str) -> Element:
    """Return the root of an answer's XML, whose name begins with `name`.

    Raises `WireError` where it is none, `UnwritableError` where it has what XML cannot carry.
    """
    body = bytes(response.body)
    parser = XMLParser(target=_Builder())  # noqa: S314 - it refuses entities
    try:
        parser.feed(body)
        root: Element = parser.close()
    except ParseError as error:
        is_whole = body.rstrip().endswith(f"</{name}>".encode())
        kind = UnwritableError if is_whole and error.code in _BAD_CHARACTERS else WireError
        raise kind(f"nobody can read it as a {name}") from None
    if root.tag == "Error":
        raise RefusedInBodyError("it tells of an error")
    if not root.tag.startswith(name):
        raise WireError(f"it is no {name}")
    return root


def text(element: Element, name: str, default: str | None = None) -> str:
    """Return the text of a child; raises `WireError` where there is none and no default."""
    found = element.findall(name)
    if len(found) > 1:
        raise WireError(f"{element.tag} has more than one {name}")
    if found:
        return found[0].text or ""
    if default is None:
        raise WireError(f"{element.tag} has no {name}")
    return default


def flag(element: Element, name: str, default: str | None = None) -> bool:
    """Return whether a child says `true`."""
    said = text(element, name, default).strip().lower()
    if said not in {"true", "false"}:
        raise WireError(f"{name} is neither true nor false")
    return said == "true"


def number(element: Element, name: str) -> int:
    """Return the number that a child has, from 0 on."""
    said = text(element, name).strip()
    if not (said.isascii() and said.isdigit()):
        raise WireError(f"{name} is no number from 0 on")
    return int(said)


def time(element: Element, name: str) -> float:
    """Return the Unix time of a child."""
    try:
        found = datetime.fromisoformat(text(element, name).strip())
    except ValueError:
        raise WireError(f"{name} is no time") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def has_encoded_keys(root: Element) -> bool:
    """Return whether a document says that its keys are encoded."""
    return text(root, "EncodingType", "").strip().lower() == "url"


def key(element: Element, name: str, *, is_encoded: bool) -> str:
    """Return the key in a child, as it is."""
    said = text(element, name)
    if not said:
        raise WireError(f"{name} is empty")
    return unquote_plus(said) if is_encoded else said


def is_writable(key: str) -> bool:
    """Whether XML can carry a key."""
    return _UNWRITABLE.search(key) is None


def deletion(keys: Iterable[str]) -> bytes:
    """Return what asks for the deletion of objects, which tells of those alone that failed."""
    objects = "".join(f"<Object><Key>{_escaped(key)}</Key></Object>" for key in keys)
    return f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()


def completion(parts: Sequence[tuple[int, Part]]) -> bytes:
    """Return what asks for an object to be made of numbered parts."""
    listed = "".join(
        f'<Part><PartNumber>{number}</PartNumber><ETag>"{escape(part.etag)}"</ETag></Part>'
        for number, part in parts
    )
    return f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()


def _escaped(key: str) -> str:
    # A reader makes a line feed of a carriage return that is written as it is.
    return escape(key, {"\r": "&#13;"})
