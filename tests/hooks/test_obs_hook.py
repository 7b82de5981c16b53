# SPDX-License-Identifier: Apache-2.0
"""The hook's methods on a real S3 server, one after the other."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from fake_clock import FakeClock
from hooks.obs_servers import Front, error, query
from scenarios.servers import Answer

from airflow_provider_dli.api.protocol.errors import (
    BadRequestError,
    DliError,
    InputError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
    UnusableAnswerError,
)
from airflow_provider_dli.hooks.obs import ObsHook

ODD_KEY = "a b+c/ü&%41~x"


# where it is


def test_the_endpoint_follows_from_cloud_and_region(connect_obs: Callable[..., None]) -> None:
    connect_obs(" ", cloud="otc", region="eu-de")

    assert ObsHook().endpoint == "https://obs.eu-de.otc.t-systems.com"


def test_an_endpoint_that_nothing_tells_is_asked_for(connect_obs: Callable[..., None]) -> None:
    connect_obs(" ", cloud=None, region=None, endpoint="https://dli.example.com")

    with pytest.raises(InputError, match="obs_endpoint is missing: set it, or cloud and region"):
        _ = ObsHook().endpoint


def test_dli_is_told_the_address_of_its_region(obs: ObsHook) -> None:
    url = obs.object_url("bucket", "a b/c!.jar")

    assert url == "https://bucket.obs.eu-west-101.myhuaweicloud.eu/a%20b/c!.jar"


def test_without_a_region_dli_is_told_the_endpoint(connect_obs: Callable[..., None]) -> None:
    connect_obs(
        "https://obs.example.com", cloud=None, region=None, endpoint="https://dli.example.com"
    )

    assert ObsHook().object_url("bucket", "a b.jar") == "https://bucket.obs.example.com/a%20b.jar"


def test_without_region_and_endpoint_an_address_is_refused(
    connect_obs: Callable[..., None],
) -> None:
    connect_obs(" ", cloud=None, region=None, endpoint="https://dli.example.com")

    with pytest.raises(InputError, match="an obs:// path needs the connection's cloud"):
        ObsHook().object_url("bucket", "a.jar")


# buckets


def test_a_bucket_that_is_there_is_good(obs: ObsHook, bucket: str) -> None:
    obs.check_bucket(bucket)


def test_an_absent_bucket_is_told_with_what_to_do(obs: ObsHook) -> None:
    with pytest.raises(NotFoundError, match=r"NoSuchBucket.*request id.*eu-west-101.*Create it"):
        obs.check_bucket("no-such-bucket")


def test_a_bucket_that_refuses_is_told_with_the_words_of_the_service(
    watched: ObsHook, front: Front
) -> None:
    refusal = error(403, "AccessDenied", "Access Denied")
    front.rule = lambda asked: (403, {}, b"") if asked.method == "HEAD" else refusal

    with pytest.raises(
        PermissionDeniedError,
        match=r'^GET bucket-1 was answered with HTTP 403 AccessDenied: "Access Denied" \(request id'
        r" request-1\)\. Used: connection dli_default, region eu-west-101, project p1, OBS at .*"
        r"Ask the owner of the bucket",
    ):
        watched.check_bucket("bucket-1")


def test_a_bucket_that_may_be_listed_only_is_good(
    watched: ObsHook, front: Front, bucket: str
) -> None:
    front.rule = lambda asked: (403, {}, b"") if asked.method == "HEAD" else None

    watched.check_bucket(bucket)


# one object


@pytest.mark.parametrize("key", ["a.jar", ODD_KEY, "/leading", "a//b", "x" * 1024])
def test_what_is_written_is_found_listed_read_copied_and_deleted(
    obs: ObsHook, bucket: str, key: str
) -> None:
    written = obs.write_object(bucket, key, b"some bytes")

    found = obs.find_object(bucket, key)
    assert found is not None
    assert (found.key, found.size, found.etag) == (key, 10, hashlib.md5(b"some bytes").hexdigest())  # noqa: S324 - an ETag
    assert found.sha256 == hashlib.sha256(b"some bytes").hexdigest()
    assert (written.key, written.size, written.sha256) == (key, 10, found.sha256)
    assert abs(written.modified - found.modified) < 60
    assert [one.key for one in obs.list_objects(bucket)] == [key]
    assert obs.read_object(bucket, key) == b"some bytes"
    obs.copy_object(bucket, key, bucket, "copy")
    assert (copy := obs.find_object(bucket, "copy")) is not None
    assert copy.sha256 == found.sha256
    obs.delete_objects(bucket, [key, "copy"])
    assert list(obs.list_objects(bucket)) == []


def test_an_absent_object_is_none(obs: ObsHook, bucket: str) -> None:
    assert obs.find_object(bucket, "nothing") is None


def test_an_empty_object_can_be_written_and_read(obs: ObsHook, bucket: str) -> None:
    obs.write_object(bucket, "empty", b"")

    assert obs.read_object(bucket, "empty") == b""
    assert obs.read_object(bucket, "empty", 0, 10) == b""


@pytest.mark.parametrize(
    ("start", "end", "part"),
    [(2, 5, b"234"), (7, None, b"789"), (8, 99, b"89"), (5, 5, b""), (6, 2, b""), (10, 12, b"")],
)
def test_a_part_of_an_object_is_read_like_a_slice(
    obs: ObsHook, bucket: str, start: int, end: int | None, part: bytes
) -> None:
    obs.write_object(bucket, "digits", b"0123456789")

    assert obs.read_object(bucket, "digits", start, end) == part


def test_reading_what_is_not_there_says_so(obs: ObsHook, bucket: str) -> None:
    with pytest.raises(NotFoundError, match=rf"GET {bucket}/nothing was answered .* NoSuchKey"):
        obs.read_object(bucket, "nothing")


# several


def test_several_objects_are_found_at_once(obs: ObsHook, bucket: str) -> None:
    for number in range(20):
        obs.write_object(bucket, f"k{number}", bytes(number))

    found = obs.find_objects(bucket, [*(f"k{number}" for number in range(25)), "k1"])

    assert [one.size for one in found.values()] == list(range(20))


def test_a_failure_among_several_is_raised_and_no_thread_is_left(
    watched: ObsHook, front: Front, bucket: str
) -> None:
    front.rule = lambda asked: error(403, "AccessDenied") if asked.path.endswith("k7") else None

    with pytest.raises(PermissionDeniedError, match=f"HEAD {bucket}/k7 "):
        watched.find_objects(bucket, [f"k{number}" for number in range(30)])

    ours = [one.name for one in threading.enumerate() if one.name.startswith("obs")]
    assert ours == []
    assert watched.find_object(bucket, "k1") is None


def test_a_listing_of_several_pages_is_whole(watched: ObsHook, front: Front) -> None:
    """Without a delimiter no marker is told: the last key of a page is the next one's."""
    front.rule = lambda asked: page(*PAGES[query(asked).get("marker", [""])[0]])

    listed = watched.list_objects("bucket-1", "k")

    assert [one.key for one in listed] == ["k1", "k2", "k3", "k4", "k5"]
    assert [query(asked)["prefix"] for asked in front.asked] == [["k"]] * 3


PAGES = {"": (["k1", "k2"], True), "k2": (["k3", "k4"], True), "k4": (["k5"], False)}


def page(keys: list[str], is_truncated: bool) -> Answer:
    entries = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-11-21T00:00:00.000Z</LastModified>"
        "<Size>1</Size></Contents>"
        for key in keys
    )
    more = f"<IsTruncated>{str(is_truncated).lower()}</IsTruncated>"
    body = f"<ListBucketResult><Name>bucket-1</Name>{more}{entries}</ListBucketResult>"
    return 200, {"Content-Type": "application/xml"}, body.encode()


def test_a_folder_has_its_objects_and_the_folders_in_it(obs: ObsHook, bucket: str) -> None:
    for key in ("jars/a.jar", "jars/b c/1", "jars/b c/2", "jars/d+e/1", "other"):
        obs.write_object(bucket, key, b"x")

    objects, folders = obs.list_folder(bucket, "jars/")

    assert [one.key for one in objects] == ["jars/a.jar"]
    assert folders == ["jars/b c/", "jars/d+e/"]


def test_the_time_of_a_listed_object_is_that_of_the_service(
    obs: ObsHook, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor's client gives local time, an hour off in summer."""
    import time

    obs.write_object(bucket, "k", b"x")
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()

    (listed,) = obs.list_objects(bucket)

    monkeypatch.undo()
    time.tzset()
    assert abs(listed.modified - time.time()) < 60


def test_deleting_what_is_not_there_is_done(obs: ObsHook, bucket: str) -> None:
    obs.delete_objects(bucket, ["nothing"])


def test_nothing_is_asked_where_nothing_is_to_be_deleted(watched: ObsHook, front: Front) -> None:
    watched.delete_objects("bucket-1", [])

    assert front.asked == []


def test_what_was_not_deleted_is_named(watched: ObsHook, front: Front) -> None:
    failed = "<Error><Key>{}</Key><Code>{}</Code><Message>words</Message></Error>"
    body = "<DeleteResult>{}{}{}</DeleteResult>".format(
        failed.format("a", "AccessDenied"),
        failed.format("b", "NoSuchKey"),
        failed.format("c", "InternalError"),
    )
    front.rule = lambda _: (200, {"Content-Type": "application/xml"}, body.encode())

    with pytest.raises(PermissionDeniedError, match="did not delete a: AccessDenied") as caught:
        watched.delete_objects("bucket-1", ["a", "b", "c"])

    assert caught.value.__notes__ == ["Not deleted in bucket-1: a, c."]


# in parts


def test_an_object_is_made_of_parts_in_any_order(obs: ObsHook, bucket: str) -> None:
    upload = obs.start_multipart(bucket, "whole")

    upload.send(2, b"the end")
    upload.send(1, bytes(5 * 1024 * 1024))
    assert obs.find_object(bucket, "whole") is None
    upload.complete()

    assert obs.read_object(bucket, "whole")[-8:] == b"\0the end"


def test_views_of_bytes_are_sent_as_what_they_show(obs: ObsHook, bucket: str) -> None:
    view = memoryview(bytearray(b"some bytes"))
    upload = obs.start_multipart(bucket, "parts")

    obs.write_object(bucket, "whole", view)  # type: ignore[arg-type]
    upload.send(1, view)  # type: ignore[arg-type]
    upload.complete()

    assert obs.read_object(bucket, "whole") == obs.read_object(bucket, "parts") == b"some bytes"


def test_an_upload_that_is_aborted_leaves_nothing(obs: ObsHook, bucket: str) -> None:
    upload = obs.start_multipart(bucket, "whole")
    upload.send(1, b"x")

    upload.abort()
    upload.abort()

    assert obs.find_object(bucket, "whole") is None


# wrong input


@pytest.mark.parametrize("key", ["", None, 7, "\ud800", "ü" * 513])
def test_a_key_that_cannot_be_is_refused_before_any_request(
    watched: ObsHook, front: Front, key: object
) -> None:
    with pytest.raises(InputError, match="key is "):
        watched.find_object("bucket-1", key)  # type: ignore[arg-type]

    assert front.asked == []


@pytest.mark.parametrize("bucket", ["Bucket", "", None, "b"])
def test_a_bucket_that_cannot_be_is_refused_before_any_request(
    watched: ObsHook, front: Front, bucket: object
) -> None:
    with pytest.raises(InputError, match="bucket is "):
        watched.check_bucket(bucket)  # type: ignore[arg-type]

    assert front.asked == []


@pytest.mark.parametrize(("start", "end"), [(-1, None), (0, -1)])
def test_bytes_before_the_beginning_are_refused(
    obs: ObsHook, bucket: str, start: int, end: int | None
) -> None:
    with pytest.raises(InputError, match="start and end is"):
        obs.read_object(bucket, "k", start, end)


@pytest.mark.parametrize("number", [0, -1, True, "8", None])
def test_a_concurrency_that_is_none_is_refused(number: object) -> None:
    with pytest.raises(InputError, match="concurrency is"):
        ObsHook(concurrency=number)  # type: ignore[arg-type]


# what answers


PAGE = (200, {"Content-Type": "text/html"}, b"<html><body>Please sign in</body></html>")
UNREADABLE = (200, {"Content-Type": "application/xml"}, b"<Broken")
CALLS: dict[str, Callable[[ObsHook], object]] = {
    "list": lambda hook: list(hook.list_objects("bucket-1")),
    "find": lambda hook: hook.find_object("bucket-1", "k"),
    "write": lambda hook: hook.write_object("bucket-1", "k", b"x"),
    "copy": lambda hook: hook.copy_object("bucket-1", "k", "bucket-1", "l"),
    "delete": lambda hook: hook.delete_objects("bucket-1", ["k"]),
    "begin": lambda hook: hook.start_multipart("bucket-1", "k"),
}


@pytest.mark.parametrize("answer", [PAGE, UNREADABLE, (200, {}, b"")])
@pytest.mark.parametrize("call", CALLS)
def test_a_success_that_is_not_the_service_s_is_no_success(
    watched: ObsHook, front: Front, call: str, answer: tuple[int, dict[str, str], bytes]
) -> None:
    front.rule = lambda _: answer

    with pytest.raises(UnusableAnswerError, match="Check that the endpoint is that of OBS"):
        CALLS[call](watched)


def test_an_error_inside_of_a_success_is_an_error(watched: ObsHook, front: Front) -> None:
    front.rule = lambda _: (200, *error(0, "InternalError")[1:])

    with pytest.raises(ServiceError, match="HTTP 200 InternalError"):
        watched.copy_object("bucket-1", "k", "bucket-1", "l")


def test_a_listing_without_times_is_none(watched: ObsHook, front: Front) -> None:
    entry = b"<Contents><Key>k</Key><Size>1</Size><ETag>e</ETag></Contents>"
    more = b"<Name>bucket-1</Name><IsTruncated>false</IsTruncated>"
    body = b"<ListBucketResult>" + more + entry + b"</ListBucketResult>"
    front.rule = lambda _: (200, {"Content-Type": "application/xml"}, body)

    with pytest.raises(UnusableAnswerError, match="LastModified is not a time"):
        list(watched.list_objects("bucket-1"))


def test_a_listing_that_does_not_go_on_is_given_up(watched: ObsHook, front: Front) -> None:
    more = b"<Name>bucket-1</Name><IsTruncated>true</IsTruncated>"
    body = b"<ListBucketResult>" + more + b"</ListBucketResult>"
    front.rule = lambda _: (200, {"Content-Type": "application/xml"}, body)

    with pytest.raises(UnusableAnswerError, match="does not name the next marker"):
        list(watched.list_objects("bucket-1"))


def test_a_range_that_is_refused_for_another_reason_is_told(watched: ObsHook, front: Front) -> None:
    front.rule = lambda _: error(400, "InvalidArgument")

    with pytest.raises(BadRequestError, match="InvalidArgument"):
        watched.read_object("bucket-1", "k", 1, 2)


# at rest


def test_the_hook_works_on_after_it_was_closed(obs: ObsHook, bucket: str) -> None:
    obs.check_bucket(bucket)
    obs.close()

    obs.check_bucket(bucket)


def test_making_a_hook_reads_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_DLI_DEFAULT", raising=False)

    assert ObsHook().dli_conn_id == "dli_default"


def test_the_hook_works_without_the_vendor_s_client(
    connect_obs: Callable[..., None], object_store: str, bucket: str
) -> None:
    connect_obs(object_store)
    code = (
        "import sys; sys.modules['obs'] = None\n"
        "from airflow_provider_dli.hooks.obs import ObsHook\n"
        f"ObsHook().check_bucket({bucket!r})"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_hook_loads_no_client() -> None:
    code = (
        "import sys; from airflow.providers.common.compat.sdk import BaseHook\n"
        "before = set(sys.modules)\n"
        "import airflow_provider_dli.hooks.obs\n"
        "print([n for n in set(sys.modules) - before if n.split('.')[0] in ('obs', 'requests')])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_the_same_tries_as_for_dli_and_the_same_clock(
    watched: ObsHook, front: Front, clock: FakeClock
) -> None:
    answers = [error(503, "ServiceUnavailable"), error(503, "SlowDown"), (500, {}, b"")]
    front.rule = lambda _: answers.pop() if answers else None

    with pytest.raises(DliError, match="NoSuchBucket"):
        list(watched.list_objects("no-such-bucket"))

    assert len(front.asked) == 4
    assert 2 < sum(clock.slept) < 15
