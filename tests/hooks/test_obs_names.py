# SPDX-License-Identifier: Apache-2.0
"""Objects by their exact keys: each that somebody else wrote, and what we make ourselves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import other_client
from hooks.obs_servers import Front, query
from scenarios.servers import Answer, Asked
from strange_keys import OF_ADDRESSES, SLASHES, STEPS, STRANGE, UNPRINTABLE

from airflow_provider_dli.api.obs.models import FileToSend
from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.hooks.obs import ObsHook

LONGEST = {"letters": "x" * 1024, "two bytes each": "ü" * 512, "four bytes each": "😀" * 256}
each_key = pytest.mark.parametrize("name", STRANGE.values(), ids=STRANGE.keys())


@pytest.fixture
def store(object_store: str) -> Any:
    """A client that nobody here wrote, for the objects of somebody else."""
    return other_client(object_store)


@pytest.fixture
def put(store: Any, bucket: str) -> Callable[..., None]:
    def put(*keys: str) -> None:
        for key in keys:
            store.put_object(Bucket=bucket, Key=key, Body=key.encode())

    return put


@pytest.fixture
def keys(store: Any, bucket: str) -> Callable[[], list[str]]:
    return lambda: [one["Key"] for one in store.list_objects_v2(Bucket=bucket).get("Contents", [])]


@each_key
def test_a_key_of_somebody_else_is_found_listed_and_read(
    obs: ObsHook, bucket: str, put: Callable[..., None], name: str
) -> None:
    put(f"p/{name}", "p/b", "b", "p/a/b")

    found = obs.find_object(bucket, f"p/{name}")

    assert found is not None
    assert (found.key, found.size) == (f"p/{name}", len(f"p/{name}".encode()))
    assert f"p/{name}" in [one.key for one in obs.list_objects(bucket)]
    assert obs.read_object(bucket, f"p/{name}") == f"p/{name}".encode()
    assert obs.read_object(bucket, f"p/{name}", 1, 3) == f"p/{name}".encode()[1:3]


@each_key
def test_a_key_of_somebody_else_is_copied_under_its_name(
    obs: ObsHook,
    bucket: str,
    put: Callable[..., None],
    keys: Callable[[], list[str]],
    name: str,
) -> None:
    put(f"p/{name}")

    obs.copy_object(bucket, f"p/{name}", bucket, f"other/{name}")

    assert set(keys()) == {f"p/{name}", f"other/{name}"}


@each_key
def test_a_key_of_somebody_else_is_copied_to_a_plain_name(
    obs: ObsHook, bucket: str, put: Callable[..., None], store: Any, name: str
) -> None:
    put(f"p/{name}")

    obs.copy_object(bucket, f"p/{name}", bucket, "plain")

    body = store.get_object(Bucket=bucket, Key="plain")["Body"].read()
    assert body == f"p/{name}".encode()


@each_key
def test_a_key_of_somebody_else_is_deleted_and_no_other(
    obs: ObsHook,
    bucket: str,
    put: Callable[..., None],
    keys: Callable[[], list[str]],
    name: str,
) -> None:
    put(f"p/{name}", "p/b", "b", "p/a/b", "p/a/")

    obs.delete_objects(bucket, [f"p/{name}"])

    assert set(keys()) == {"p/b", "b", "p/a/b", "p/a/"} - {f"p/{name}"}


@pytest.mark.parametrize("name", UNPRINTABLE.values(), ids=UNPRINTABLE.keys())
def test_several_are_found_with_a_strange_one_among_them(
    obs: ObsHook, bucket: str, put: Callable[..., None], name: str
) -> None:
    put("plain", name)

    assert list(obs.find_objects(bucket, ["plain", name, "absent"])) == ["plain", name]


@pytest.mark.parametrize("end", ["/", "//"])
def test_a_folder_s_own_object_has_a_key_like_others(
    obs: ObsHook, bucket: str, put: Callable[..., None], keys: Callable[[], list[str]], end: str
) -> None:
    put(f"a{end}", "a", "a/b")

    assert obs.read_object(bucket, f"a{end}") == f"a{end}".encode()
    obs.delete_objects(bucket, [f"a{end}"])

    assert keys() == ["a", "a/b"]


def test_line_ends_in_a_key_reach_a_deletion_as_they_are(watched: ObsHook, front: Front) -> None:
    """Readers of XML take a carriage return for a line feed, unless it is written as a number."""
    front.rule = lambda _: (200, {}, b"<DeleteResult></DeleteResult>")
    keys = ["a\rb", "a\r\nb", "a\nb", "a\tb"]

    watched.delete_objects("bucket-1", keys)

    order = ElementTree.fromstring(front.asked[0].body)  # noqa: S314 - our own
    assert [one.text for one in order.iterfind("{*}Object/{*}Key")] == keys


def test_line_ends_in_a_key_are_read_from_a_listing(watched: ObsHook, front: Front) -> None:
    entry = (
        b"<Contents><Key>a&#13;&#10;b&#9;c</Key><Size>1</Size>"
        b"<LastModified>2026-11-21T00:00:00.000Z</LastModified></Contents>"
    )
    about = b"<Name>bucket-1</Name><Prefix></Prefix><IsTruncated>false</IsTruncated>"
    body = b"<ListBucketResult>" + about + entry + b"</ListBucketResult>"
    front.rule = lambda _: (200, {"Content-Type": "application/xml"}, body)

    assert [one.key for one in watched.list_objects("bucket-1")] == ["a\r\nb\tc"]


# what is made here


@pytest.mark.parametrize("key", [*UNPRINTABLE.values(), *STEPS.values()])
@pytest.mark.parametrize(
    "make",
    [
        lambda hook, key: hook.write_object("bucket-1", key, b"x"),
        lambda hook, key: hook.start_multipart("bucket-1", key),
        lambda hook, key: hook.copy_object("bucket-1", "plain", "bucket-1", key),
    ],
    ids=["write", "multipart", "copy"],
)
def test_no_object_is_made_under_a_key_that_is_hard_to_read_or_resolved_by_tools(
    watched: ObsHook, front: Front, make: Callable[[ObsHook, str], object], key: str
) -> None:
    with pytest.raises(InputError, match=r"key is .*printable text for a new object"):
        make(watched, key)

    assert front.asked == []


def test_no_file_is_sent_under_such_a_key(watched: ObsHook, front: Front, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    digest = hashlib.sha256(b"x").hexdigest()
    file = FileToSend(tmp_path / "file", "a\u202fb", 1, digest)

    with pytest.raises(InputError, match=r"'a\\u202fb': give printable text for a new object"):
        watched.upload_files("bucket-1", [file])

    assert front.asked == []


@pytest.mark.parametrize("key", [*OF_ADDRESSES.values(), *SLASHES.values()])
def test_marks_of_addresses_and_slashes_may_be_in_a_new_key(
    obs: ObsHook, bucket: str, keys: Callable[[], list[str]], key: str
) -> None:
    obs.write_object(bucket, key, b"x")

    assert keys() == [key]


# what no object can have


@pytest.mark.parametrize("key", LONGEST.values(), ids=LONGEST.keys())
def test_a_key_of_1024_bytes_is_a_key(
    obs: ObsHook, bucket: str, keys: Callable[[], list[str]], key: str
) -> None:
    obs.write_object(bucket, key, b"x")

    assert obs.read_object(bucket, key) == b"x"
    obs.copy_object(bucket, key, bucket, f"{key[:-1]}{'z' * len(key[-1].encode())}")
    assert len(keys()) == 2
    obs.delete_objects(bucket, keys())
    assert keys() == []


ASKS: dict[str, Callable[[ObsHook, Any], object]] = {
    "find": lambda hook, key: hook.find_object("bucket-1", key),
    "find several": lambda hook, key: hook.find_objects("bucket-1", [key]),
    "read": lambda hook, key: hook.read_object("bucket-1", key),
    "write": lambda hook, key: hook.write_object("bucket-1", key, b"x"),
    "copy from": lambda hook, key: hook.copy_object("bucket-1", key, "bucket-1", "k"),
    "copy to": lambda hook, key: hook.copy_object("bucket-1", "k", "bucket-1", key),
    "delete": lambda hook, key: hook.delete_objects("bucket-1", ["k", key]),
    "begin": lambda hook, key: hook.start_multipart("bucket-1", key),
}


@pytest.mark.parametrize("longest", LONGEST.values(), ids=LONGEST.keys())
@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())
def test_a_key_of_1025_bytes_is_refused_with_its_length(
    watched: ObsHook, front: Front, ask: Callable[[ObsHook, Any], object], longest: str
) -> None:
    with pytest.raises(InputError, match=r"key is .*it has 1025 bytes in UTF-8"):
        ask(watched, f"{longest}x")

    assert front.asked == []


@pytest.mark.parametrize("key", ["", None, 7, b"k", "\ud800"])
@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())
def test_what_is_no_text_is_refused_before_any_request(
    watched: ObsHook, front: Front, ask: Callable[[ObsHook, Any], object], key: object
) -> None:
    with pytest.raises(InputError, match=r"key is .*1 to 1024 bytes of text"):
        ask(watched, key)

    assert front.asked == []


# what XML cannot carry


def test_a_listing_that_xml_cannot_carry_is_asked_for_encoded(
    watched: ObsHook, front: Front
) -> None:
    """Not from the first on: stores do not agree on what they make of `+`."""

    def rule(asked: Asked) -> Answer:
        is_encoded = query(asked).get("encoding-type") == ["url"]
        encoding = "<EncodingType>url</EncodingType>" if is_encoded else ""
        entry = (
            f"<Contents><Key>{'a+b%01%2B' if is_encoded else 'a b&#1;+'}</Key><Size>1</Size>"
            "<LastModified>2026-11-21T00:00:00.000Z</LastModified></Contents>"
        )
        name = "<Name>bucket-1</Name><IsTruncated>false</IsTruncated>"
        body = f"<ListBucketResult>{name}{encoding}{entry}</ListBucketResult>"
        return 200, {"Content-Type": "application/xml"}, body.encode()

    front.rule = rule

    assert [one.key for one in watched.list_objects("bucket-1")] == ["a b\x01+"]
    assert len(front.asked) == 2


def test_what_a_deletion_of_many_cannot_carry_is_deleted_alone(
    watched: ObsHook, front: Front
) -> None:
    deleted = (200, {}, b"<DeleteResult></DeleteResult>")
    front.rule = lambda asked: deleted if asked.method == "POST" else (204, {}, b"")

    watched.delete_objects("bucket-1", ["a", "b\x01c"])

    assert front.methods() == ["POST", "DELETE"]
    assert front.asked[1].path == "/bucket-1/b%01c"
