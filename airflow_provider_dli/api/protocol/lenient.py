# SPDX-License-Identifier: Apache-2.0
"""Reading JSON of a service that types it loosely: text for booleans, null anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw

from airflow_provider_dli.api.protocol.errors import RefusedInBodyError, WireError

T = TypeVar("T")

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not the JSON it was asked to read."""


_MARK = b"\xef\xbb\xbf"


def unmarked(body: bytes | bytearray) -> bytes | bytearray:
    """Return JSON without the byte order mark that some servers put before it."""
    return body[len(_MARK) :] if body.startswith(_MARK) else body


def json_object(body: bytes | bytearray | Raw) -> dict[str, Any]:
    """Decode a body that must be a JSON object; says what it is when it is none."""
    text = unmarked(bytes(body)).strip()
    if not text:
        raise WireError("the body is empty")
    try:
        fields = msgspec.json.decode(text)
    except UNREADABLE as error:
        what = "HTML" if text.startswith(b"<") else "no JSON, or cut off"
        # A UnicodeDecodeError holds the text that it could not read, secrets and all.
        cause = None if isinstance(error, UnicodeDecodeError) else error
        raise WireError(f"the body is {what}") from cause
    if not isinstance(fields, dict):
        raise WireError(f"the body is a JSON {_json_type(fields)}, not an object")
    return fields


def answer_object(body: bytes | bytearray) -> dict[str, Any]:
    """Decode the body of a success; a refusal inside it is no success."""
    fields = json_object(body)
    check_success(fields.get("error_code"), fields.get("is_success"))
    return fields


def check_success(error_code: object, is_success: object) -> None:
    """Raise where the fields that only a refusal has say that it is one."""
    if error_code:
        raise RefusedInBodyError("the body is an error")
    if boolean(is_success) is False:
        raise RefusedInBodyError("is_success is false")


def take(rest: dict[str, Any], key: str, read: Callable[[object], T | None]) -> T | None:
    """Move a field out of `rest`; null is nothing, and what cannot be read stays in `rest`."""
    value = rest.pop(key, None)
    taken = read(value)
    if taken is None and value is not None:
        rest[key] = value
    return taken


def boolean(value: object) -> bool | None:
    """Read a boolean that may be text; `None` for anything else."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def objects(field: str, value: object) -> Iterator[dict[str, Any]]:
    """Give the objects of a list; null entries count for nothing."""
    for entry in entries(field, value):
        if isinstance(entry, dict):
            yield entry
        elif entry is not None:
            raise WireError(f"an entry of {field} is a JSON {_json_type(entry)}, not an object")


def entries(field: str, value: object) -> list[Any]:
    """Read a list, also one that is not decoded yet; null and missing are empty."""
    if isinstance(value, Raw):
        value = json_object(b'{"it": %b}' % bytes(value))["it"]
    if value is None or value is UNSET:
        return []
    if not isinstance(value, list):
        raise WireError(f"{field} is a JSON {_json_type(value)}, not a list")
    return value


def text(value: object) -> str | None:
    """Read text, also of a number; `None` for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value)


def number(value: object) -> int | None:
    """Read a whole number that may be text; `None` for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return int(value)
    except (ValueError, OverflowError):
        return None


def _json_type(value: object) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
