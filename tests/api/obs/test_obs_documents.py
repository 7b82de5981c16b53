# SPDX-License-Identifier: Apache-2.0
"""The XML of OBS is read as what it says, or refused."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import pytest

from airflow_provider_dli.api.obs import documents
from airflow_provider_dli.api.obs.models import Part
from airflow_provider_dli.api.protocol.errors import RefusedInBodyError, WireError
from airflow_provider_dli.api.protocol.wire import Response


def answer(text: str) -> Response:
    return Response(200, {}, text.encode())


@pytest.mark.parametrize("text", ["2026-11-21T00:00:00.000Z", "2026-11-21T00:00:00"])
def test_the_times_of_a_listing_are_utc(text: str) -> None:
    entry = documents.document(answer(f"<C><LastModified>{text}</LastModified></C>"), "C")

    assert documents.time(entry, "LastModified") == 1_795_219_200.0


def test_a_time_that_is_none_is_refused() -> None:
    entry = documents.document(answer("<C><LastModified>yesterday</LastModified></C>"), "C")

    with pytest.raises(WireError, match="LastModified is not a time"):
        documents.time(entry, "LastModified")


@pytest.mark.parametrize("text", ["-1", "", "x", "1.5", "²"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    entry = documents.document(answer(f"<C><Size>{text}</Size></C>"), "C")

    with pytest.raises(WireError, match="Size is not a number from 0 on"):
        documents.number(entry, "Size")


@pytest.mark.parametrize("text", ["", "yes", "1"])
def test_what_is_neither_true_nor_false_is_refused(text: str) -> None:
    entry = documents.document(answer(f"<C><IsTruncated>{text}</IsTruncated></C>"), "C")

    with pytest.raises(WireError, match="IsTruncated is neither true nor false"):
        documents.flag(entry, "IsTruncated")


def test_a_namespace_does_not_count() -> None:
    root = documents.document(answer('<C xmlns="http://obs"><Name>n</Name></C>'), "C")

    assert documents.text(root, "Name") == "n"


def test_what_declares_entities_is_refused_before_they_unfold() -> None:
    bomb = '<!DOCTYPE C [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><C><Name>&b;</Name></C>'

    with pytest.raises(WireError, match="DOCTYPE"):
        documents.document(answer(bomb), "C")


@pytest.mark.parametrize("text", ["", "<C>", "<C></D>", "<html>", "x"])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(WireError, match="it cannot be read as a C"):
        documents.document(answer(text), "C")


def test_another_document_is_refused() -> None:
    with pytest.raises(WireError, match="it is not a C"):
        documents.document(answer("<D/>"), "C")


def test_an_error_in_place_of_a_document_is_told_apart() -> None:
    with pytest.raises(RefusedInBodyError):
        documents.document(answer("<Error><Code>x</Code></Error>"), "C")


@pytest.mark.parametrize(("key", "is_it"), [("a b", True), ("\r", True), ("\x01", False)])
def test_it_is_known_which_keys_xml_can_carry(key: str, is_it: bool) -> None:
    assert documents.is_writable(key) is is_it


def test_keys_are_written_so_that_they_are_read_as_they_are() -> None:
    keys = ["a&b", "<c>", "d\re", "f\ng", "h\ti", "\u202f", "ü"]

    read = fromstring(documents.deletion(keys)).findall("Object/Key")  # noqa: S314 - our own

    assert [one.text for one in read] == keys


def test_parts_are_written_in_their_order_with_quoted_etags() -> None:
    body = documents.completion([(1, Part("e1", 5)), (2, Part("e2", 5))])

    assert body == (
        b'<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"e1"</ETag></Part>'
        b'<Part><PartNumber>2</PartNumber><ETag>"e2"</ETag></Part></CompleteMultipartUpload>'
    )
