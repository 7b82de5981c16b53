# SPDX-License-Identifier: Apache-2.0
"""Reads the JSON of a service that is loose about types: text for booleans, null anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw

from airflow_provider_dli.api.protocol.errors import RefusedInBodyError, WireError

T = TypeVar("T")

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not the expected JSON."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def without_byte_order_mark(body: bytes | bytearray) -> bytes | bytearray:
    """Returns JSON without the byte order mark that some servers put before it."""
    return body.removeprefix(_BYTE_ORDER_MARK)


def json_object(body: bytes | bytearray | Raw) -> dict[str, Any]:
    """Decodes a body that must be a JSON object; the error says what it is instead."""
    text = without_byte_order_mark(bytes(body)).strip()
    if not text:
        raise WireError("the body is empty")
    try:
        fields = msgspec.json.decode(text)
    except UNREADABLE as error:
        what = "HTML" if text.startswith(b"<") else "no JSON, or cut off"
        # A UnicodeDecodeError contains the text that it could not read, which may have secrets.
        cause = None if isinstance(error, UnicodeDecodeError) else error
        raise WireError(f"the body is {what}") from cause
    if not isinstance(fields, dict):
        raise WireError(f"the body is a JSON {_json_type(fields)}, not an object")
    return fields


def answer_object(body: bytes | bytearray) -> dict[str, Any]:
    """Decodes the body of a success; raises `RefusedInBodyError` if it is a refusal."""
    fields = json_object(body)
    check_success(fields.get("error_code"), fields.get("is_success"))
    return fields


def check_success(error_code: object, is_success: object) -> None:
    """Raises `RefusedInBodyError` if these two fields of a body are those of a refusal."""
    if error_code:
        raise RefusedInBodyError("the body is an error")
    if boolean(is_success) is False:
        raise RefusedInBodyError("is_success is false")


def take(rest: dict[str, Any], key: str, read: Callable[[object], T | None]) -> T | None:
    """Moves a field out of `rest` and returns it; a value that `read` refuses stays in `rest`."""
    value = rest.pop(key, None)
    taken = read(value)
    if taken is None and value is not None:
        rest[key] = value
    return taken


def boolean(value: object) -> bool | None:
    """Returns a boolean that may be sent as text; `None` for anything else."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def objects(field: str, value: object) -> Iterator[dict[str, Any]]:
    """Yields the objects of a list, without its null entries."""
    for entry in entries(field, value):
        if isinstance(entry, dict):
            yield entry
        elif entry is not None:
            raise WireError(f"an entry of {field} is a JSON {_json_type(entry)}, not an object")


def entries(field: str, value: object) -> list[Any]:
    """Returns a list, decoded if need be; null and missing count as empty."""
    if isinstance(value, Raw):
        value = json_object(b'{"it": %b}' % bytes(value))["it"]
    if value is None or value is UNSET:
        return []
    if not isinstance(value, list):
        raise WireError(f"{field} is a JSON {_json_type(value)}, not a list")
    return value


def text(value: object) -> str | None:
    """Returns text, also for a number; `None` for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value)


def number(value: object) -> int | None:
    """Returns a whole number that may be sent as text; `None` for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return int(value)
    except (ValueError, OverflowError):
        return None


def _json_type(value: object) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
