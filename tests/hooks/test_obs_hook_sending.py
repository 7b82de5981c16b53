# SPDX-License-Identifier: Apache-2.0
"""Files are sent whole or not at all, from wherever an earlier run was broken off."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from eventually import at_last
from fake_clock import FakeClock
from hooks.obs_servers import HANGS_UP, Front, error, line, query, step
from scenarios.servers import Answer, Asked

from airflow_provider_dli.api.obs import uploads
from airflow_provider_dli.api.obs.models import FileToSend
from airflow_provider_dli.api.protocol.errors import (
    AnswerLostError,
    DliError,
    InputError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
    ServiceError,
    TransportError,
    UnusableAnswerError,
)
from airflow_provider_dli.hooks.obs import ObsHook
from airflow_provider_dli.transfer.sending import PART, part_size

Make = Callable[..., FileToSend]
MIB = 1024 * 1024


def is_there(hook: ObsHook, bucket: str, file: FileToSend) -> bool:
    found = hook.find_object(bucket, file.key)
    if found is None:
        return False
    assert (found.size, found.sha256) == (file.size, file.sha256)
    stored = hook.read_object(bucket, file.key)
    assert hashlib.sha256(stored).hexdigest() == file.sha256
    return True


def threads_of_ours() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("obs")]


# what arrives


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART])
def test_a_file_of_any_size_arrives_whole_with_its_digest(
    obs: ObsHook, bucket: str, make: Make, size: int
) -> None:
    file = make(size)

    obs.upload_files(bucket, [file])

    assert is_there(obs, bucket, file)


def test_files_of_all_sizes_arrive_together(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    files = [make(size, f"{size}.jar") for size in (10, 2 * PART + 1, MIB, PART + 1, 0)]

    watched.upload_files(bucket, files)

    assert all(is_there(watched, bucket, file) for file in files)
    assert front.methods().count("PUT") == 3
    assert sorted(front.parts()) == [1, 1, 2, 2, 3]


def test_each_request_signs_the_digest_of_what_it_sends(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    watched.upload_files(bucket, [make(PART + 1), make(5, "b.jar")])

    sent = [one for one in front.asked if one.method == "PUT"]
    assert len(sent) == 3
    for one in sent:
        assert one.headers["x-amz-content-sha256"] == hashlib.sha256(one.body).hexdigest()
        assert "x-amz-content-sha256" in one.headers["authorization"]
        assert "content-md5" not in one.headers


def test_obs_itself_is_told_the_md5_of_what_it_is_sent(
    at_obs: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    """Its own signature covers no body."""
    import base64

    files = [make(PART + 1), make(5, "b.jar")]
    at_obs.upload_files(bucket, files)

    sent = [one for one in front.asked if one.method == "PUT"]
    assert len(sent) == 3
    for one in sent:
        md5 = hashlib.md5(one.body, usedforsecurity=False).digest()
        assert one.headers["content-md5"] == base64.b64encode(md5).decode()
    assert all(is_there(at_obs, bucket, file) for file in files)


def test_nothing_is_asked_where_there_is_nothing_to_send(
    watched: ObsHook, front: Front, task_log: Callable[[], str]
) -> None:
    watched.upload_files("bucket-1", [])

    assert front.asked == []
    assert "Sent" not in task_log()


def test_a_file_that_is_named_twice_is_sent_once(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    watched.upload_files(bucket, [make(5), make(5)])

    assert front.methods() == ["PUT"]


def test_two_files_for_one_key_are_refused(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    file = make(5)

    with pytest.raises(InputError, match=r"key is 'keys/a.jar': .*b.jar would both have it"):
        watched.upload_files(bucket, [file, replace(make(6, "b.jar"), key=file.key)])

    assert front.asked == []


def test_a_huge_file_has_no_more_parts_than_obs_takes() -> None:
    size = 200_000 * MIB

    assert part_size(PART) == PART
    assert -(-size // part_size(size)) <= 10_000


# what changes meanwhile


@pytest.mark.parametrize("size", [5, 3 * PART])
@pytest.mark.parametrize("change", ["other", "longer", "shorter", "gone"])
def test_of_a_file_that_changed_nothing_is_kept(
    watched: ObsHook, front: Front, bucket: str, make: Make, size: int, change: str
) -> None:
    file = make(size)
    data = file.path.read_bytes()
    changed = {"other": data[:-1] + b"?", "longer": data + b"?", "shorter": data[:-1]}
    if change == "gone":
        file.path.unlink()
    else:
        file.path.write_bytes(changed[change])
    words = "it cannot be read" if change == "gone" else "it changed while it was read"

    with pytest.raises(InputError, match=rf"files is '.*a\.jar': {words}"):
        watched.upload_files(bucket, [file])

    assert watched.find_object(bucket, file.key) is None
    assert front.methods().count("begin") == front.methods().count("abort")
    assert "complete" not in front.methods()
    assert threads_of_ours() == []


# what the network does


def test_a_line_that_breaks_in_the_middle_of_a_part_is_gone_over_again(
    obs: ObsHook,
    object_store: str,
    bucket: str,
    make: Make,
    connect_obs: Callable[..., None],
    clock: FakeClock,
) -> None:
    file = make(3 * PART + 5)
    with line(object_store, cuts=2, after=3 * MIB) as it:
        connect_obs(it.origin)
        with ObsHook(clock=clock) as hook:
            hook.upload_files(bucket, [file])

    assert it.cuts == 0
    assert is_there(obs, bucket, file)


def test_a_line_that_breaks_in_a_small_file_leaves_no_half_object(
    obs: ObsHook,
    object_store: str,
    bucket: str,
    make: Make,
    connect_obs: Callable[..., None],
    clock: FakeClock,
) -> None:
    """This store keeps what came of a request that broke off."""
    file = make(4 * MIB)
    with line(object_store, cuts=5, after=2 * MIB) as it:
        connect_obs(it.origin)
        with ObsHook(clock=clock) as hook, pytest.raises(TransportError) as caught:
            hook.upload_files(bucket, [file])

    assert caught.value.__notes__ == [f"Raised while {file.path} was sent."]
    assert obs.find_object(bucket, file.key) is None
    assert threads_of_ours() == []


def test_a_half_object_of_an_earlier_run_is_replaced(obs: ObsHook, bucket: str, make: Make) -> None:
    file = make(MIB)
    obs.write_object(bucket, file.key, b"half of it")

    obs.upload_files(bucket, [file])

    assert is_there(obs, bucket, file)


def test_what_a_lost_network_broke_off_is_left_and_gone_on_with(
    watched: ObsHook,
    front: Front,
    bucket: str,
    make: Make,
    task_log: Callable[[], str],
) -> None:
    file = make(5 * PART)
    there: set[int] = set()

    def after(asked: Asked, _: Answer) -> None:
        # Of one that was broken off with part 4 the store may have a piece.
        if len(asked.body) == PART:
            there.update(map(int, query(asked)["partNumber"]))

    front.rule = lambda asked: HANGS_UP if query(asked).get("partNumber") == ["4"] else None
    front.after = after

    with pytest.raises(AnswerLostError):
        watched.upload_files(bucket, [file])

    assert "abort" not in front.methods()
    already = set(there)
    front.rule = lambda _: None
    front.asked.clear()
    watched.upload_files(bucket, [file])
    assert {4} <= set(front.parts()) <= {1, 2, 3, 4, 5} - already | {4, 5}
    assert front.methods()[:2] == ["list uploads", "list parts"]
    assert "begin" not in front.methods()
    assert is_there(watched, bucket, file)
    told = task_log()
    assert "parts are there already" in told
    assert "already there, in 0 s" in told


def test_a_part_of_other_bytes_is_sent_again(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    file = make(2 * PART)
    begun = watched._run(uploads.begin(watched._bucket(bucket), file.key, file.sha256))
    watched._run(begun.send(1, bytes(PART)))
    watched._run(begun.send(2, file.path.read_bytes()[PART:]))
    front.asked.clear()

    watched.upload_files(bucket, [file])

    assert front.parts() == [1]
    assert is_there(watched, bucket, file)


def test_an_upload_that_says_nothing_of_the_digest_is_made_anew(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    file = make(2 * PART)
    watched.start_multipart(bucket, file.key).send(1, file.path.read_bytes()[:PART])

    watched.upload_files(bucket, [file])

    assert front.methods().count("begin") == 2
    assert is_there(watched, bucket, file)


def test_uploads_of_longer_keys_are_left_alone(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    file = make(PART + 1)
    other = watched.start_multipart(bucket, f"{file.key}.other")
    other.send(1, b"other")
    front.asked.clear()

    watched.upload_files(bucket, [file])

    assert front.methods().count("begin") == 1
    other.complete()


def test_the_parts_of_an_earlier_run_may_fill_several_pages(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    file = make(3 * PART)
    data = file.path.read_bytes()
    parts = [data[at : at + PART] for at in range(0, len(data), PART)]
    uploads = f"<Upload><Key>{file.key}</Key><UploadId>u1</UploadId></Upload>"
    pages = {
        "list uploads": f"<ListMultipartUploadsResult>{uploads}</ListMultipartUploadsResult>",
        "": _parts_page(parts[0], 1, following=1),
        "1": _parts_page(parts[1], 2, following=None),
        "part": "",
        "complete": "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>",
    }

    def rule(asked: Asked) -> Answer | None:
        if asked.method == "HEAD":
            headers = {"Content-Length": str(file.size), "x-amz-meta-sha256": file.sha256}
            return 200, {**headers, "Last-Modified": "Sat, 21 Nov 2026 00:00:00 GMT"}, b""
        name = step(asked)
        if name == "list parts":
            name = query(asked).get("part-number-marker", [""])[0]
        md5 = hashlib.md5(asked.body, usedforsecurity=False).hexdigest()
        return 200, {"Content-Type": "application/xml", "ETag": f'"{md5}"'}, pages[name].encode()

    front.rule = rule

    watched.upload_files(bucket, [file])

    assert front.parts() == [3]


def _parts_page(data: bytes, number: int, following: int | None) -> str:
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    more = "" if following is None else f"<NextPartNumberMarker>{following}</NextPartNumberMarker>"
    return (
        f"<ListPartsResult><IsTruncated>{'true' if more else 'false'}</IsTruncated>{more}<Part>"
        f'<PartNumber>{number}</PartNumber><ETag>"{md5}"</ETag><Size>{len(data)}</Size></Part>'
        "</ListPartsResult>"
    )


# answers that are lost, and others who are faster


def test_a_lost_answer_to_the_completion_is_looked_into(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    """The store has made the object, and knows nothing of the upload when it is asked again."""
    file = make(PART + 1)
    lost: list[str] = []

    def rule(asked: Asked) -> Answer | None:
        return error(404, "NoSuchUpload") if step(asked) == "complete" and lost else None

    def after(asked: Asked, _: Answer) -> Answer | None:
        if step(asked) != "complete":
            return None
        lost.append("answer")
        return HANGS_UP

    front.rule, front.after = rule, after

    watched.upload_files(bucket, [file])

    assert front.methods().count("complete") == 2
    assert is_there(watched, bucket, file)


def test_a_completion_that_stays_without_an_answer_is_judged_by_what_lies_there(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    file = make(PART + 1)
    front.rule = lambda asked: error(500, "InternalError") if step(asked) == "complete" else None

    with pytest.raises(ServiceError, match="InternalError"):
        watched.upload_files(bucket, [file])

    assert "abort" not in front.methods()
    assert watched.find_object(bucket, file.key) is None


def test_the_lost_completion_of_an_upload_without_a_digest_is_known_by_its_etag(
    watched: ObsHook, front: Front, bucket: str
) -> None:
    upload = watched.start_multipart(bucket, "whole")
    upload.send(1, bytes(5 * MIB))
    upload.send(2, b"end")
    front.after = lambda asked, _: HANGS_UP if step(asked) == "complete" else None
    done: list[Asked] = []

    def rule(asked: Asked) -> Answer | None:
        if step(asked) != "complete":
            return None
        done.append(asked)
        return None if len(done) == 1 else error(404, "NoSuchUpload")

    front.rule = rule

    assert upload.complete().size == 5 * MIB + 3


def test_a_lost_completion_over_other_bytes_is_no_success(
    watched: ObsHook, front: Front, bucket: str
) -> None:
    watched.write_object(bucket, "whole", b"old")
    upload = watched.start_multipart(bucket, "whole")
    upload.send(1, b"new")
    front.rule = lambda asked: HANGS_UP if step(asked) == "complete" else None

    with pytest.raises(AnswerLostError):
        upload.complete()


def test_an_object_that_another_run_made_meanwhile_is_taken(
    watched: ObsHook, front: Front, bucket: str, make: Make, clock: FakeClock
) -> None:
    file = make(4 * PART)

    def rule(asked: Asked) -> Answer | None:
        if query(asked).get("partNumber") != ["2"]:
            return None
        front.rule = lambda other: error(404, "NoSuchUpload") if step(other) == "part" else None
        watched.write_object(bucket, file.key, file.path.read_bytes())
        return error(404, "NoSuchUpload")

    front.rule = rule

    ObsHook(clock=clock, concurrency=1).upload_files(bucket, [file])

    assert front.parts() == [1, 2]
    assert "complete" not in front.methods()
    assert front.methods().count("begin") == 1
    assert is_there(watched, bucket, file)


def test_an_object_that_another_run_left_with_too_few_bytes_is_not_taken(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    """Its digest is what that run meant to send, and proves nothing."""
    file = make(2 * PART)
    short = {"Content-Length": "3", "x-amz-meta-sha256": file.sha256}
    short["Last-Modified"] = "Sat, 21 Nov 2026 00:00:00 GMT"

    def rule(asked: Asked) -> Answer | None:
        if front.methods().count("begin") > 1:
            return None
        if asked.method == "HEAD":
            return 200, short, b""
        return error(404, "NoSuchUpload") if step(asked) == "part" else None

    front.rule = rule

    watched.upload_files(bucket, [file])

    assert front.methods().count("begin") == 2
    assert is_there(watched, bucket, file)


@pytest.mark.parametrize("at", ["part", "complete"])
def test_an_upload_that_another_run_aborted_is_begun_once_more(
    watched: ObsHook, front: Front, bucket: str, make: Make, at: str
) -> None:
    file = make(2 * PART)
    gone: set[str] = set()

    def rule(asked: Asked) -> Answer | None:
        upload = query(asked).get("uploadId", [""])[0]
        if step(asked) == at and (not gone or upload in gone):
            gone.add(upload)
            return error(404, "NoSuchUpload")
        return None

    front.rule = rule

    watched.upload_files(bucket, [file])

    assert front.methods().count("begin") == 2
    assert is_there(watched, bucket, file)


def test_an_upload_that_is_always_gone_fails(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    front.rule = lambda asked: error(404, "NoSuchUpload") if step(asked) == "part" else None

    with pytest.raises(NotFoundError, match="NoSuchUpload"):
        watched.upload_files(bucket, [make(2 * PART)])

    assert front.methods().count("begin") == 2


def test_an_upload_that_ends_while_its_parts_are_listed_is_begun_anew(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    file = make(PART + 1)
    watched.start_multipart(bucket, file.key)
    front.rule = lambda one: error(404, "NoSuchUpload") if step(one) == "list parts" else None

    watched.upload_files(bucket, [file])

    assert is_there(watched, bucket, file)


# refusals


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(403, "AccessDenied"), PermissionDeniedError),
        (error(403, "InsufficientStorageSpace"), QuotaError),
    ],
)
def test_a_refusal_ends_the_upload_and_names_the_file(
    watched: ObsHook, front: Front, bucket: str, make: Make, answer: Answer, kind: type[DliError]
) -> None:
    file = make(3 * PART)
    front.rule = lambda asked: answer if query(asked).get("partNumber") == ["2"] else None

    with pytest.raises(kind, match=f"PUT {bucket}/keys/a.jar was answered with HTTP 403") as caught:
        watched.upload_files(bucket, [file])

    assert caught.value.__notes__ == [f"Raised while {file.path} was sent."]
    assert "abort" in front.methods()
    assert threads_of_ours() == []


def test_a_completion_that_is_refused_ends_the_upload(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    front.rule = lambda one: error(403, "AccessDenied") if step(one) == "complete" else None

    with pytest.raises(PermissionDeniedError, match=r"POST .* AccessDenied"):
        watched.upload_files(bucket, [make(PART + 1)])

    assert front.methods()[-2:] == ["complete", "abort"]


def test_one_failure_stops_the_other_files(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    files = [make(1000, f"{number}.jar") for number in range(100)]
    front.rule = lambda one: error(403, "AccessDenied") if one.path.endswith("/5.jar") else None

    with pytest.raises(PermissionDeniedError, match=r"keys/5\.jar"):
        watched.upload_files(bucket, files)

    assert front.methods().count("PUT") < 40
    assert threads_of_ours() == []


def test_another_file_that_a_failure_broke_off_can_be_gone_on_with(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    large, small = make(4 * PART, "large.jar"), make(5, "small.jar")
    front.rule = lambda one: error(403, "AccessDenied") if one.path.endswith("small.jar") else None

    with pytest.raises(PermissionDeniedError):
        watched.upload_files(bucket, [large, small])

    assert "abort" not in front.methods()


@pytest.mark.parametrize(
    "answer", [error(503, "SlowDown"), error(500, "InternalError"), error(400, "BadDigest")]
)
def test_what_passes_by_itself_is_tried_again(
    watched: ObsHook, front: Front, bucket: str, make: Make, clock: FakeClock, answer: Answer
) -> None:
    answers = [answer] * 3
    front.rule = lambda _: answers.pop() if answers else None
    file = make(PART + 1)

    watched.upload_files(bucket, [file])

    assert clock.slept
    assert is_there(watched, bucket, file)


def test_a_pause_that_the_service_asks_for_is_kept(
    watched: ObsHook, front: Front, bucket: str, make: Make, clock: FakeClock
) -> None:
    answers = [error(503, "SlowDown", **{"Retry-After": "7"})]
    front.rule = lambda _: answers.pop() if answers else None

    watched.upload_files(bucket, [make(5)])

    assert 7 <= sum(clock.slept) <= 8


# what the service keeps


def test_an_etag_of_other_bytes_is_no_success_and_nothing_is_left(
    at_obs: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    file = make(5)
    front.after = lambda asked, _: (200, {"ETag": '"0"'}, b"") if asked.method == "PUT" else None

    with pytest.raises(UnusableAnswerError, match="is not the 5 bytes sent"):
        at_obs.upload_files(bucket, [file])

    assert at_obs.find_object(bucket, file.key) is None


def test_an_etag_of_a_part_that_differs_is_no_success(
    at_obs: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    front.after = lambda asked, _: (200, {"ETag": '"0"'}, b"") if step(asked) == "part" else None

    with pytest.raises(UnusableAnswerError, match=r"part [12] is not what was sent"):
        at_obs.upload_files(bucket, [make(PART + 1)])


@pytest.mark.parametrize("size", [5, 2 * PART])
def test_of_what_is_encrypted_the_etag_proves_nothing(
    at_obs: ObsHook, front: Front, bucket: str, make: Make, size: int
) -> None:
    file = make(size)
    told = {"ETag": '"another"', "x-obs-server-side-encryption": "kms"}
    etags: dict[str, str] = {}

    def after(asked: Asked, answer: Answer) -> Answer | None:
        if asked.method != "PUT":
            return None
        headers = {name.lower(): value for name, value in answer[1].items()}
        etags[query(asked).get("partNumber", ["0"])[0]] = headers["etag"]
        return 200, told, b""

    def rule(asked: Asked) -> Answer | None:
        """The store itself wants its own ETags back."""
        if step(asked) != "complete" or b"another" not in asked.body:
            return None
        body = asked.body
        for _, one in sorted(etags.items()):
            body = body.replace(b'"another"', one.encode(), 1)
        headers = {**asked.headers, "content-length": str(len(body))}
        from hooks.obs_servers import at_the_store, passed_on

        changed = at_the_store(replace(asked, body=body, headers=headers))
        return passed_on(urlsplit(store).netloc, changed)

    store = os.environ["STORE"]
    front.rule, front.after = rule, after

    at_obs.upload_files(bucket, [file])

    assert is_there(at_obs, bucket, file)


@pytest.fixture(autouse=True)
def _store(object_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", object_store)


def test_an_encrypted_object_of_another_size_is_no_success(
    at_obs: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    told = {"ETag": '"another"', "x-obs-server-side-encryption": "kms"}

    def rule(asked: Asked) -> Answer | None:
        if asked.method == "PUT":
            return 200, told, b""
        if asked.method == "HEAD":
            headers = {"Content-Length": "3", "Last-Modified": "Sat, 21 Nov 2026 00:00:00 GMT"}
            return 200, headers, b""
        return None

    front.rule = rule

    with pytest.raises(UnusableAnswerError, match="is not the 5 bytes"):
        at_obs.upload_files(bucket, [make(5)])

    assert front.methods()[-1] == "POST"  # it was deleted


def test_an_object_that_is_shorter_than_its_parts_is_deleted(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    file = make(PART + 1)
    headers = {"Content-Length": "3", "Last-Modified": "Sat, 21 Nov 2026 00:00:00 GMT"}
    front.rule = lambda asked: (200, headers, b"") if asked.method == "HEAD" else None

    with pytest.raises(UnusableAnswerError, match=f"3 bytes instead of the {PART + 1} sent"):
        watched.upload_files(bucket, [file])

    front.rule = lambda _: None
    assert watched.find_object(bucket, file.key) is None


# an end from outside


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_all_threads_at_once(
    watched: ObsHook, front: Front, bucket: str, make: Make
) -> None:
    held, turn = threading.Event(), threading.Lock()

    def rule(asked: Asked) -> Answer | None:
        if step(asked) == "part" and turn.acquire(blocking=False):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if step(asked) == "part":
            held.wait()
        return None

    front.rule = rule

    try:
        with pytest.raises(KeyboardInterrupt):
            watched.upload_files(bucket, [make(5 * PART)])
    finally:
        held.set()  # no answer came before

    assert threads_of_ours() == []
    assert "abort" not in front.methods()


CHILD = """
import signal, sys
from pathlib import Path
from airflow_provider_dli.api.obs import uploads
from airflow_provider_dli.api.obs.models import FileToSend
from airflow_provider_dli.hooks.obs import ObsHook
bucket, path, key, size, sha256 = sys.argv[1:]
# A shell lets what it starts in the background ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
ObsHook(concurrency=2).upload_files(bucket, [FileToSend(Path(path), key, int(size), sha256)])
"""


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_after_a_kill_the_next_run_sends_only_what_is_missing(
    watched: ObsHook, front: Front, bucket: str, make: Make, kill: signal.Signals
) -> None:
    file = make(8 * PART)
    three, killed = threading.Event(), threading.Event()
    arrived: list[int] = []

    def after(asked: Asked, _: Answer) -> None:
        if step(asked) == "part":
            arrived.extend(map(int, query(asked)["partNumber"]))
            if len(arrived) >= 3:
                three.set()
                killed.wait(60)

    front.after = after
    command = [sys.executable, "-c", CHILD, bucket, str(file.path), file.key]
    with subprocess.Popen(
        [*command, str(file.size), file.sha256], stderr=subprocess.DEVNULL
    ) as child:
        assert three.wait(120)
        child.send_signal(kill)
        child.wait(60)
    killed.set()
    # A request may still be on its way to the store.
    at_last(lambda: not front.connections)

    assert watched.find_object(bucket, file.key) is None
    there = set(arrived)
    front.after = lambda *_: None
    front.asked.clear()
    watched.upload_files(bucket, [file])

    assert sorted(front.parts()) == sorted(set(range(1, 9)) - there)
    assert is_there(watched, bucket, file)


# what is told


def test_the_log_says_how_far_it_is_every_ten_seconds_and_how_it_ended(
    watched: ObsHook,
    front: Front,
    bucket: str,
    make: Make,
    clock: FakeClock,
    task_log: Callable[[], str],
) -> None:
    files = [make(5_000_000, f"{number}.jar") for number in range(4)]

    def after(*_: object) -> None:
        clock.time += 6

    front.after = after
    with ObsHook(clock=clock, concurrency=1) as hook:
        hook.upload_files(bucket, files)

    told = task_log()
    assert "Sent 10 of 20 MB, 1 of 4 files, 833 kB/s" in told
    assert "Sent 20 of 20 MB, 3 of 4 files, 833 kB/s" in told
    assert "Sent 5 of 20 MB" not in told
    assert f"Sent 4 files to obs://{bucket}, 20 MB, in 24 s (833 kB/s): keys/" in told


def test_a_run_that_failed_does_not_say_that_it_ended(
    watched: ObsHook, front: Front, bucket: str, make: Make, task_log: Callable[[], str]
) -> None:
    front.rule = lambda _: error(403, "AccessDenied")

    with pytest.raises(PermissionDeniedError):
        watched.upload_files(bucket, [make(5)])

    assert "Sent" not in task_log()


def test_what_cannot_be_cleaned_up_is_told(
    watched: ObsHook, front: Front, bucket: str, make: Make, task_log: Callable[[], str]
) -> None:
    def rule(asked: Asked) -> Answer | None:
        if step(asked) in {"part", "abort"}:
            return error(403, "AccessDenied")
        return None

    front.rule = rule

    with pytest.raises(PermissionDeniedError):
        watched.upload_files(bucket, [make(PART + 1)])

    assert f"{bucket}/keys/a.jar could not be cleaned up: DELETE {bucket}/keys/a.jar" in task_log()


def test_where_nobody_can_look_any_more_it_is_told(
    watched: ObsHook, front: Front, bucket: str, make: Make, task_log: Callable[[], str]
) -> None:
    front.rule = lambda _: HANGS_UP

    with pytest.raises(AnswerLostError):
        watched.upload_files(bucket, [make(5), make(6, "b.jar")])

    assert "Could not check what is stored in OBS" in task_log()


def test_a_path_may_be_anything(obs: ObsHook, bucket: str, make: Make, tmp_path: Path) -> None:
    file = make(5)
    odd = tmp_path / "a b+c ü.jar"
    odd.write_bytes(file.path.read_bytes())

    obs.upload_files(bucket, [replace(file, path=odd, key="p/a b+c ü.jar")])

    assert obs.find_object(bucket, "p/a b+c ü.jar") is not None
