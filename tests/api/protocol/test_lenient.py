# SPDX-License-Identifier: Apache-2.0
"""Reading what is typed loosely, and refusing what is no object at all."""

from __future__ import annotations

import pytest
from msgspec import UNSET, Raw

from airflow_provider_dli.api.protocol import lenient
from airflow_provider_dli.api.protocol.errors import RefusedInBodyError, WireError

NO_OBJECT = [
    pytest.param(b"", "the body is empty", id="empty"),
    pytest.param(b" \r\n\t", "the body is empty", id="blank"),
    pytest.param(b"<html>busy</html>", "the body is HTML", id="html"),
    pytest.param(b"\n <!DOCTYPE html>", "the body is HTML", id="html after blanks"),
    pytest.param(b"busy", "the body is no JSON, or cut off", id="text"),
    pytest.param(b'{"groups": [', "the body is no JSON, or cut off", id="cut off"),
    pytest.param(b"{} {}", "the body is no JSON, or cut off", id="two objects"),
    pytest.param(b'{"a": "\xff"}', "the body is no JSON, or cut off", id="not UTF-8"),
    pytest.param(b"[]", "the body is a JSON list, not an object", id="list"),
    pytest.param(b'"text"', "the body is a JSON string, not an object", id="string"),
    pytest.param(b"7", "the body is a JSON number, not an object", id="number"),
    pytest.param(b"7.5", "the body is a JSON number, not an object", id="fraction"),
    pytest.param(b"true", "the body is a JSON boolean, not an object", id="boolean"),
    pytest.param(b"null", "the body is a JSON null, not an object", id="null"),
    pytest.param(
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "the body is no JSON, or cut off",
        id="nested too deep",
    ),
]


@pytest.mark.parametrize(("body", "text"), NO_OBJECT)
def test_a_body_that_is_no_object_is_an_error_that_says_what_it_is(body: bytes, text: str) -> None:
    with pytest.raises(WireError) as error:
        lenient.json_object(body)

    assert str(error.value) == text


@pytest.mark.parametrize("body", [b'{"a": null}', b' \n{"a": null}\n', Raw(b'{"a":null}')])
def test_an_object_is_decoded_with_its_nulls(body: bytes | Raw) -> None:
    assert lenient.json_object(body) == {"a": None}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error_code": "DLI.0999", "error_msg": "busy"}', "the body is an error"),
        (b'{"is_success": false}', "is_success is false"),
        (b'{"is_success": "False "}', "is_success is false"),
    ],
)
def test_a_refusal_inside_a_success_is_a_refusal(body: bytes, text: str) -> None:
    with pytest.raises(RefusedInBodyError) as error:
        lenient.answer_object(body)

    assert str(error.value) == text


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"error_code": ""}',
        b'{"error_code": null}',
        b'{"is_success": "true"}',
        b'{"is_success": null}',
    ],
)
def test_an_empty_error_code_is_no_refusal(body: bytes) -> None:
    assert isinstance(lenient.answer_object(body), dict)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (True, True),
        (False, False),
        ("true", True),
        ("false", False),
        ("True", True),
        (" FALSE ", False),
        ("yes", None),
        ("", None),
        (1, None),
        (0, None),
        (None, None),
        ([], None),
    ],
)
def test_a_boolean_may_be_text(value: object, read: bool | None) -> None:
    assert lenient.boolean(value) is read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (0, 0),
        (17, 17),
        ("17", 17),
        (" 17 ", 17),
        (17.9, 17),
        (-1, -1),
        ("17.5", None),
        ("", None),
        ("now", None),
        (float("inf"), None),
        (float("nan"), None),
        (True, None),
        (None, None),
        ([17], None),
    ],
)
def test_a_number_may_be_text(value: object, read: int | None) -> None:
    assert lenient.number(value) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("a", "a"),
        ("", ""),
        (7, "7"),
        (7.5, "7.5"),
        (True, None),
        (None, None),
        ({}, None),
        ([], None),
    ],
)
def test_text_may_be_a_number(value: object, read: str | None) -> None:
    assert lenient.text(value) == read


def test_what_is_taken_leaves_the_rest() -> None:
    rest = {"a": "7", "b": 1}

    assert lenient.take(rest, "a", lenient.number) == 7
    assert rest == {"b": 1}


def test_what_cannot_be_read_stays_in_the_rest() -> None:
    rest = {"a": [7]}

    assert lenient.take(rest, "a", lenient.number) is None
    assert rest == {"a": [7]}


@pytest.mark.parametrize("rest", [{}, {"a": None}])
def test_null_and_missing_leave_nothing(rest: dict[str, object]) -> None:
    assert lenient.take(rest, "a", lenient.number) is None
    assert rest == {}


@pytest.mark.parametrize("value", [None, UNSET, [], Raw(b"null"), Raw(b" [] ")])
def test_a_list_that_is_null_or_missing_is_empty(value: object) -> None:
    assert lenient.entries("field", value) == []


@pytest.mark.parametrize("value", [[1, None], Raw(b"[1, null]")])
def test_a_list_is_read_decoded_or_not(value: object) -> None:
    assert lenient.entries("field", value) == [1, None]


@pytest.mark.parametrize(
    ("value", "what"),
    [({}, "object"), ("a", "string"), (7, "number"), (True, "boolean"), (Raw(b"{}"), "object")],
)
def test_what_is_no_list_is_an_error_that_names_the_field(value: object, what: str) -> None:
    with pytest.raises(WireError) as error:
        lenient.entries("details", value)

    assert str(error.value) == f"details is a JSON {what}, not a list"


def test_null_entries_count_for_nothing() -> None:
    assert list(lenient.objects("details", [None, {"a": 1}, None])) == [{"a": 1}]


@pytest.mark.parametrize(("entry", "what"), [("a", "string"), (7, "number"), ([], "list")])
def test_an_entry_that_is_no_object_is_an_error_that_names_the_field(
    entry: object, what: str
) -> None:
    with pytest.raises(WireError) as error:
        list(lenient.objects("details", [{}, entry]))

    assert str(error.value) == f"an entry of details is a JSON {what}, not an object"


def test_a_byte_order_mark_before_the_json_is_passed_over() -> None:
    assert lenient.answer_object(b'\xef\xbb\xbf{"id": 1}') == {"id": 1}
