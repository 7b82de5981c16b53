# SPDX-License-Identifier: Apache-2.0
"""What is at the other end is not what the caller thinks: each method says so, and what to do."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme
from fake_clock import FakeClock
from faults.store import Asked as AskedOfStore
from faults.store import Said, Store, etag, refusal, storing
from hooks.obs_servers import Front, error, fronting, query, step
from scenarios.servers import Answer, Asked, speaking
from told import told

from airflow_provider_dli.api.obs.models import FileToSend
from airflow_provider_dli.api.protocol.errors import (
    AnswerError,
    DliError,
    EndpointError,
    InputError,
    PermissionDeniedError,
    TransportError,
    UnusableAnswerError,
)
from airflow_provider_dli.hooks.obs import ObsHook

Make = Callable[..., FileToSend]
Connect = Callable[..., None]

MIB = 1024 * 1024
LARGE = 20 * MIB + 5
"""More than goes in one request."""

CALLS: dict[str, Callable[[ObsHook, str], object]] = {
    "check": lambda hook, bucket: hook.check_bucket(bucket),
    "find": lambda hook, bucket: hook.find_object(bucket, "k"),
    "find several": lambda hook, bucket: hook.find_objects(bucket, ["k", "l"]),
    "list": lambda hook, bucket: list(hook.list_objects(bucket)),
    "list a folder": lambda hook, bucket: hook.list_folder(bucket, "jars/"),
    "read": lambda hook, bucket: hook.read_object(bucket, "k"),
    "read a part": lambda hook, bucket: hook.read_object(bucket, "k", 5, 10),
    "write": lambda hook, bucket: hook.write_object(bucket, "k", b"x"),
    "copy": lambda hook, bucket: hook.copy_object(bucket, "k", bucket, "l"),
    "delete": lambda hook, bucket: hook.delete_objects(bucket, ["k"]),
    "begin": lambda hook, bucket: hook.start_multipart(bucket, "k"),
}


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Callable[[ObsHook, str], object]:
    return CALLS[request.param]


# an endpoint that is no OBS

PAGE = b"<!DOCTYPE html><html><body>It works!</body></html>"
NO_OBS: dict[str, Answer] = {
    "a web server": (200, {"Content-Type": "text/html", "Server": "nginx"}, PAGE),
    "a web server that knows ETags": (
        200,
        {
            "Content-Type": "text/html",
            "ETag": '"5f-1"',
            "Last-Modified": "Sat, 21 Nov 2026 00:00:00 GMT",
        },
        PAGE,
    ),
    "a web server that knows no such page": (404, {"Content-Type": "text/html"}, PAGE),
    "an API": (200, {"Content-Type": "application/json"}, b'{"status": "ok"}'),
    "DLI": (
        404,
        {"Content-Type": "application/json"},
        b'{"error_code": "APIGW.0101", "error_msg": "The API does not exist"}',
    ),
    "nothing": (200, {}, b""),
}


@pytest.mark.parametrize("what", NO_OBS)
@pytest.mark.parametrize(
    "name", sorted(CALLS.keys() - {"read", "read a part", "find", "find several"})
)
def test_an_endpoint_that_is_no_obs_is_no_success(
    watched: ObsHook, front: Front, what: str, name: str
) -> None:
    front.rule = lambda _: NO_OBS[what]

    with pytest.raises((UnusableAnswerError, EndpointError), match=r"bucket-1.*(Check|check)"):
        CALLS[name](watched, "bucket-1")


@pytest.mark.parametrize("what", sorted(NO_OBS.keys() - {"a web server that knows ETags"}))
@pytest.mark.parametrize("name", ["read", "read a part"])
def test_what_is_read_from_an_endpoint_that_is_no_obs_is_no_object(
    watched: ObsHook, front: Front, what: str, name: str
) -> None:
    front.rule = lambda _: NO_OBS[what]

    with pytest.raises((UnusableAnswerError, EndpointError), match=r"bucket-1/k.*(Check|check)"):
        CALLS[name](watched, "bucket-1")


@pytest.mark.parametrize("says", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x15\x03\x03\x00\x02\x02\x46", b""])
def test_an_endpoint_that_speaks_no_http_is_no_success(
    connect_obs: Connect,
    clock: FakeClock,
    call: Callable[[ObsHook, str], object],
    says: bytes,
) -> None:
    with speaking(after=b"\r\n\r\n", says=says) as server:
        connect_obs(server.origin)

        with ObsHook(clock=clock) as hook, pytest.raises(TransportError, match=r"bucket-1"):
            call(hook, "bucket-1")


# a bucket in another region

ELSEWHERE = "obs.eu-de.otc.t-systems.com"


def moved(status: int, code: str, *, location: bool, endpoint: bool) -> Callable[[Asked], Answer]:
    """Say where the bucket is, in a header or in the body, which an answer to HEAD has not."""

    def rule(asked: Asked) -> Answer:
        place = {"Location": f"https://bucket-1.{ELSEWHERE}/k?secret=canary"} if location else {}
        more = f"<Endpoint>bucket-1.{ELSEWHERE}</Endpoint>" if endpoint else ""
        _, headers, body = error(status, code)
        body = body.replace(b"<Message>", more.encode() + b"<Message>")
        return status, {**headers, **place}, body

    return rule


@pytest.mark.parametrize("location", [True, False], ids=["Location", "Endpoint"])
@pytest.mark.parametrize(
    ("status", "code"), [(301, "PermanentRedirect"), (307, "TemporaryRedirect")]
)
@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"find", "find several"}))
def test_a_bucket_of_another_region_is_told_with_its_address(
    watched: ObsHook, front: Front, name: str, status: int, code: str, location: bool
) -> None:
    front.rule = moved(status, code, location=location, endpoint=not location)

    with pytest.raises(
        EndpointError, match=rf"bucket-1.*{ELSEWHERE}.*Check cloud and region"
    ) as caught:
        CALLS[name](watched, "bucket-1")

    assert "canary" not in told(caught.value)


@pytest.mark.parametrize("name", ["find", "find several"])
def test_a_look_at_an_object_of_another_region_is_told_with_its_address(
    watched: ObsHook, front: Front, name: str
) -> None:
    """The answer to HEAD has no body; OBS says in a header where the bucket is."""
    front.rule = moved(301, "PermanentRedirect", location=True, endpoint=False)

    with pytest.raises(EndpointError, match=rf"bucket-1/[kl].*{ELSEWHERE}.*Check cloud and region"):
        CALLS[name](watched, "bucket-1")


def test_no_redirect_is_followed_by_any_method(
    watched: ObsHook,
    front: Front,
    object_store: str,
    clock: FakeClock,
    call: Callable[[ObsHook, str], object],
) -> None:
    with fronting(object_store) as other:
        place = {"Location": f"{other.origin}/bucket-1/k"}
        front.rule = lambda asked: (307, place, error(307, "TemporaryRedirect")[2])

        with pytest.raises(EndpointError, match=f"127.0.0.1:{other.port}"):
            call(watched, "bucket-1")

        assert other.asked == []
    assert clock.slept == []


# a bucket of another owner


def test_a_bucket_of_another_owner_is_told_with_whom_to_ask(
    watched: ObsHook, front: Front, clock: FakeClock, call: Callable[[ObsHook, str], object]
) -> None:
    front.rule = lambda _: error(403, "AccessDenied", "Access Denied")

    with pytest.raises(
        PermissionDeniedError,
        match=r"bucket-1.*Used: connection dli_default.*Ask the owner of the bucket",
    ):
        call(watched, "bucket-1")

    assert clock.slept == []


def test_files_for_a_bucket_of_another_owner_are_not_sent(
    watched: ObsHook, front: Front, make: Make
) -> None:
    front.rule = lambda _: error(403, "AccessDenied", "Access Denied")

    with pytest.raises(PermissionDeniedError, match="Ask the owner of the bucket"):
        watched.upload_files("bucket-1", [make(LARGE), make(5, "b.jar")])


# a bucket with a dot, on OBS over TLS


@pytest.fixture
def obs_itself(connect_obs: Connect, tmp_path: Any, clock: FakeClock) -> Iterator[Store]:
    """Stand for OBS at its own name over TLS: a certificate fits one name before its host."""
    authority = trustme.CA()
    bundle = tmp_path / "ours.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("obs.example.test", "*.obs.example.test").configure_cert(context)
    with storing(context) as store:
        connect_obs(
            "https://obs.example.test",
            proxy=f"http://127.0.0.1:{store.port}",
            ca_bundle=str(bundle),
        )
        yield store


def _path_style(asked: AskedOfStore) -> Said | None:
    """Refuse a bucket in the path, as OBS does, but not to HEAD."""
    if asked.headers["host"].partition(":")[0] != "obs.example.test":
        return None
    if asked.method == "HEAD":
        return Said(
            "200 OK", (("Last-Modified", "Sat, 21 Nov 2026 00:00:00 GMT"), ("ETag", etag(b"")))
        )
    return refusal("403 Forbidden", "VirtualHostDomainRequired")


@pytest.mark.parametrize("name", CALLS)
def test_a_bucket_with_a_dot_is_told_at_once_with_what_to_do(
    obs_itself: Store, clock: FakeClock, name: str
) -> None:
    obs_itself.rule = _path_style

    # Another bucket, or an address that fits: which of both, only the caller can say.
    with (
        ObsHook(clock=clock) as hook,
        pytest.raises(DliError, match=r"(?s)my\.bucket.*dot.*certificate"),
    ):
        CALLS[name](hook, "my.bucket")

    assert clock.slept == []


def test_files_for_a_bucket_with_a_dot_are_not_sent(
    obs_itself: Store, clock: FakeClock, make: Make
) -> None:
    obs_itself.rule = _path_style

    with (
        ObsHook(clock=clock) as hook,
        pytest.raises(DliError, match=r"(?s)my\.bucket.*dot.*certificate"),
    ):
        hook.upload_files("my.bucket", [make(LARGE), make(5, "b.jar")])

    assert not any(asked.body for asked in obs_itself.asked)


def test_a_bucket_without_a_dot_is_asked_at_its_own_host(
    obs_itself: Store, clock: FakeClock
) -> None:
    obs_itself.rule = lambda asked: _path_style(asked) or Said("200 OK", (("ETag", etag(b"x")),))

    with ObsHook(clock=clock) as hook:
        hook.write_object("my-bucket", "k", b"x")

    hosts = [asked.headers["host"] for asked in obs_itself.asked]
    assert hosts == ["my-bucket.obs.example.test"]


def test_a_bucket_with_a_dot_is_good_where_it_may_be_in_the_path(obs: ObsHook) -> None:
    """Stores of another name take it there, with a certificate for that name."""
    with pytest.raises(AnswerError, match="NoSuchBucket"):
        list(obs.list_objects("no.such.bucket"))


# a store that lacks something


def test_of_a_store_without_ranges_whole_objects_are_read_and_parts_refused(
    connect_obs: Connect, clock: FakeClock
) -> None:
    data = os.urandom(5000)

    def rule(asked: AskedOfStore) -> Said | None:
        if asked.method != "GET":
            return None
        told = (("ETag", etag(data)), ("Last-Modified", "Sat, 21 Nov 2026 00:00:00 GMT"))
        return Said("200 OK", told, data)

    with storing() as store:
        store.objects["k"] = data
        store.rule = rule
        connect_obs(store.origin)
        with ObsHook(clock=clock) as hook:
            assert hook.read_object("bucket-1", "k") == data
            with pytest.raises(UnusableAnswerError, match=r"bucket-1/k.*range"):
                hook.read_object("bucket-1", "k", 100, 200)


UNLISTED = [(501, "NotImplemented"), (405, "MethodNotAllowed"), (403, "AccessDenied")]


@pytest.mark.parametrize(("status", "code"), UNLISTED)
def test_without_a_listing_of_uploads_a_file_goes_as_a_new_one(
    watched: ObsHook, front: Front, bucket: str, make: Make, status: int, code: str
) -> None:
    file = make(LARGE)
    front.rule = lambda asked: error(status, code) if step(asked) == "list uploads" else None

    watched.upload_files(bucket, [file])

    assert front.methods().count("begin") == 1
    assert front.methods().count("list uploads") == 1
    assert watched.read_object(bucket, file.key) == file.path.read_bytes()


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (405, "MethodNotAllowed")])
def test_without_a_listing_of_parts_a_file_goes_as_a_new_one(
    watched: ObsHook, front: Front, bucket: str, make: Make, status: int, code: str
) -> None:
    file = make(LARGE)
    begun = f"<Upload><Key>{file.key}</Key><UploadId>u1</UploadId></Upload>"
    body = (
        f"<ListMultipartUploadsResult><Bucket>{bucket}</Bucket>{begun}</ListMultipartUploadsResult>"
    )
    answers = {
        "list uploads": (200, {"Content-Type": "application/xml"}, body.encode()),
        "list parts": error(status, code),
    }
    front.rule = lambda asked: answers.get(step(asked))

    watched.upload_files(bucket, [file])

    assert front.methods().count("begin") == 1
    assert watched.read_object(bucket, file.key) == file.path.read_bytes()


# long keys


@pytest.mark.parametrize(
    "key", ["x" * 1024, "ü" * 512, "漢" * 341 + "x", "👍" * 256, "d/" * 512, " +%?" * 256]
)
def test_a_key_of_1024_bytes_is_one_like_others(obs: ObsHook, bucket: str, key: str) -> None:
    assert len(key.encode()) == 1024

    obs.write_object(bucket, key, b"some bytes")

    assert (found := obs.find_object(bucket, key)) is not None
    assert (found.key, found.size) == (key, 10)
    assert [one.key for one in obs.list_objects(bucket)] == [key]
    assert [one.key for one in obs.list_objects(bucket, key)] == [key]
    assert obs.read_object(bucket, key, 5) == b"bytes"
    obs.copy_object(bucket, key, bucket, "copy")
    obs.delete_objects(bucket, [key])
    assert [one.key for one in obs.list_objects(bucket)] == ["copy"]


def test_a_large_file_may_have_a_key_of_1024_bytes(obs: ObsHook, bucket: str, make: Make) -> None:
    made = make(LARGE)
    file = FileToSend(made.path, "ü" * 512, made.size, made.sha256)

    obs.upload_files(bucket, [file])

    assert obs.read_object(bucket, file.key) == file.path.read_bytes()


@pytest.mark.parametrize("key", ["x" * 1025, "ü" * 512 + "x", "漢" * 342])
def test_a_longer_key_is_refused_before_any_request(
    watched: ObsHook, front: Front, make: Make, key: str
) -> None:
    made = make(5)

    with pytest.raises(InputError, match=r"key is .*1024 bytes"):
        watched.write_object("bucket-1", key, b"x")
    with pytest.raises(InputError, match=r"key is .*1024 bytes"):
        watched.upload_files("bucket-1", [FileToSend(made.path, key, made.size, made.sha256)])

    assert front.asked == []


# a source that changes while it is sent


def _append(file: FileToSend) -> None:
    with file.path.open("ab") as stream:
        stream.write(b"more")


def _cut(file: FileToSend) -> None:
    os.truncate(file.path, file.size - 5)


def _empty(file: FileToSend) -> None:
    os.truncate(file.path, 0)


def _overwrite(file: FileToSend) -> None:
    with file.path.open("r+b") as stream:
        stream.seek(-5, os.SEEK_END)
        stream.write(b"other")


def _replace(file: FileToSend) -> None:
    """Put another file in its place: the one that is open stays what it was."""
    other = file.path.with_suffix(".new")
    other.write_bytes(os.urandom(file.size))
    other.replace(file.path)


CHANGES = {"grows": _append, "shrinks": _cut, "is emptied": _empty, "is overwritten": _overwrite}


@pytest.mark.parametrize("change", CHANGES)
def test_of_a_source_that_changes_while_it_is_sent_nothing_is_kept(
    front: Front, bucket: str, make: Make, clock: FakeClock, change: str
) -> None:
    file = make(5 * 8 * MIB + 5)
    changed: list[str] = []

    def rule(asked: Asked) -> None:
        if query(asked).get("partNumber") and not changed:
            changed.append(change)
            CHANGES[change](file)

    front.rule = rule

    with (
        ObsHook(clock=clock, concurrency=1) as hook,
        pytest.raises(InputError, match=r"files is '.*a\.jar': it changed while it was read"),
    ):
        hook.upload_files(bucket, [file])

    with ObsHook(clock=clock) as hook:
        assert hook.find_object(bucket, file.key) is None
    assert front.methods().count("begin") == front.methods().count("abort") == 1
    assert "complete" not in front.methods()


def test_a_source_that_is_replaced_while_it_is_sent_is_sent_whole_or_not_at_all(
    front: Front, bucket: str, make: Make, clock: FakeClock
) -> None:
    file = make(5 * 8 * MIB + 5)
    changed: list[str] = []

    def rule(asked: Asked) -> None:
        if query(asked).get("partNumber") and not changed:
            changed.append("replaced")
            _replace(file)

    front.rule = rule

    with ObsHook(clock=clock, concurrency=1) as hook:
        try:
            hook.upload_files(bucket, [file])
        except InputError:
            assert hook.find_object(bucket, file.key) is None
        else:
            stored = hook.read_object(bucket, file.key)
            assert hashlib.sha256(stored).hexdigest() == file.sha256
    assert changed


@pytest.mark.parametrize("change", CHANGES)
def test_a_small_source_that_changes_before_it_is_read_stops_also_the_others(
    watched: ObsHook, front: Front, bucket: str, make: Make, change: str
) -> None:
    """What others sent by then stays: each is whole."""
    files = [make(100, f"{number}.jar") for number in range(20)]
    CHANGES[change](files[10])

    with pytest.raises(InputError, match=r"files is '.*10\.jar': it changed while it was read"):
        watched.upload_files(bucket, files)

    listed = {one.key: one.size for one in watched.list_objects(bucket)}
    assert files[10].key not in listed
    assert set(listed.values()) <= {100}
