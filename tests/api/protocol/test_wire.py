# SPDX-License-Identifier: Apache-2.0
"""What is sent is exactly what is signed, and shows no secret."""

from __future__ import annotations

import pytest

from airflow_provider_dli.api.protocol.wire import (
    Request,
    Response,
    Send,
    Sleep,
    encode,
    send,
    sleep,
)


def request(**changes: object) -> Request:
    return Request(**{"method": "GET", "origin": "https://host", "path": "/p", **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("aZ09-._~", "aZ09-._~"),
        ("a!b c/d", "a%21b%20c%2Fd"),
        ("%+&=?#", "%25%2B%26%3D%3F%23"),
        ("包", "%E5%8C%85"),
    ],
)
def test_all_but_unreserved_characters_are_percent_encoded(text: str, encoded: str) -> None:
    assert encode(text) == encoded


def test_the_query_is_sorted_and_encoded() -> None:
    asked = request(query=(("b", "2 3"), ("a", "ä"), ("a", "")))

    assert asked.query_string == "a=&a=%C3%A4&b=2%203"
    assert asked.url == "https://host/p?a=&a=%C3%A4&b=2%203"


def test_an_address_without_query_has_no_question_mark() -> None:
    assert request().url == "https://host/p"


def test_what_was_asked_is_told_without_query_values() -> None:
    assert request(query=(("tags", "private"),)).asked == "GET /p"


def test_a_request_shows_no_header() -> None:
    assert "hidden" not in repr(request(headers={"X-Auth-Token": "hidden"}))


def test_sending_gives_the_answer_of_the_transport() -> None:
    answer = Response(200, {}, b"")
    flow = send(request())

    asked = next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send(answer)

    assert asked == Send(request())
    assert end.value.value is answer


def test_a_transport_that_gives_nothing_back_is_an_error_of_its_author() -> None:
    flow = send(request())
    next(flow)

    with pytest.raises(TypeError, match="the transport returned no answer to GET /p"):
        flow.send(None)


def test_sleeping_asks_for_that_many_seconds() -> None:
    assert list(sleep(1.5)) == [Sleep(1.5)]
