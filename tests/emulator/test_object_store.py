# SPDX-License-Identifier: Apache-2.0
"""With an object store at hand, uploads and jobs need objects that exist and may be read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer
from strange_keys import STRANGE

from airflow_provider_dli.emulator.messages import RefusedError
from airflow_provider_dli.emulator.object_store import ObjectStore
from airflow_provider_dli.emulator.settings import Settings

KEYS = ("lib/a.jar", "lib/b!.jar", "with blank/c.jar")


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="AK",
        aws_secret_access_key="SK",
    )
    client.create_bucket(Bucket="bucket")
    for key in KEYS:
        client.put_object(Bucket="bucket", Key=key, Body=b"content")
    client.close()
    yield url
    server.stop()


def paths(*keys: str) -> dict[str, list[str]]:
    return {"paths": [f"https://bucket.obs.region.example.com/{key}" for key in keys]}


def test_objects_that_exist_are_taken(start, store):
    api = start(obs_endpoint=store)

    answer = api.upload(group="tools", **paths("lib/a.jar", "lib/b%21.jar", "with%20blank/c.jar"))

    assert answer.status_code == 201
    assert answer.json()["resources"] == ["a.jar", "b!.jar", "c.jar"]


def test_a_batch_job_needs_objects_that_exist_as_well(start, store):
    api = start(obs_endpoint=store)

    taken = api.submit(file="obs://bucket/lib/a.jar", className="Job", spark_version="3.3.1")
    refused = api.submit(resources=[{"name": "obs://bucket/lib/missing.jar", "type": "jar"}])

    assert (taken.status_code, refused.status_code) == (200, 400)
    assert refused.json()["error_code"] == "DLI.0002"
    assert list(api.emulator.batches()) == [taken.json()["id"]]


@pytest.mark.parametrize("path", ["/resources", "/resources/files"])
def test_a_missing_object_is_named_and_nothing_is_stored(start, store, path):
    api = start(obs_endpoint=store)
    body = {**paths("lib/a.jar", "lib/missing.jar"), "group": "tools", "kind": "file"}

    answer = api("POST", path, body)

    assert answer.status_code == 400
    assert answer.json()["error_code"] == "DLI.0002"
    assert "bucket/lib/missing.jar" in answer.json()["error_msg"]
    assert api.emulator.groups() == {}


class Canned(BaseHTTPRequestHandler):
    """Answers everything with one status and body, and remembers what it was asked."""

    status = 200
    body = b""
    length: str | None = None
    seen: list[tuple[str, dict[str, str]]]

    def do_HEAD(self) -> None:
        self.seen.append((self.path, dict(self.headers)))
        self.send_response(self.status)
        self.send_header("Content-Length", self.length or str(len(self.body)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def canned() -> Iterator[type[Canned]]:
    handler = type("Handler", (Canned,), {"seen": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        handler.url = f"http://127.0.0.1:{server.server_port}"
        yield handler
        server.shutdown()
        thread.join()


def test_an_object_that_may_not_be_read_is_named(start, canned):
    canned.status = 403
    api = start(obs_endpoint=canned.url)

    answer = api.upload(**paths("lib/a.jar"))

    assert answer.status_code == 400
    assert answer.json()["error_code"] == "DLI.0011"
    assert "bucket/lib/a.jar" in answer.json()["error_msg"]


def test_a_store_in_trouble_is_an_error_of_the_service(start, canned):
    canned.status = 503
    api = start(obs_endpoint=canned.url)

    answer = api.upload(**paths("lib/a.jar"))

    assert (answer.status_code, answer.json()["error_code"]) == (500, "DLI.0999")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_store_that_is_not_there_is_an_error_of_the_service(start, scheme):
    api = start(obs_endpoint=f"{scheme}://127.0.0.1:1")

    answer = api.upload(**paths("lib/a.jar"))

    assert (answer.status_code, answer.json()["error_code"]) == (500, "DLI.0999")


def signature(method: str, url: str, headers: dict[str, str]) -> str:
    """Sign a request with another maker's signer."""
    again = AWSRequest(method, url, {"X-Amz-Date": headers["x-amz-date"]})
    again.headers["X-Amz-Content-SHA256"] = headers["x-amz-content-sha256"]
    again.context["timestamp"] = headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials("AK", "SK"), "s3", "eu-west-101")
    return signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)


def test_the_look_up_is_signed_with_the_emulators_keys(start, canned):
    """Another maker's signer comes to the same signature."""
    api = start(obs_endpoint=canned.url + "/below/", access_key="AK", secret_key="SK")

    api.upload(**paths("with%20blank/a.jar"))

    path, headers = canned.seen[0]
    assert path == "/below/bucket/with%20blank/a.jar"
    assert headers["x-amz-date"] == "20231114T221320Z"
    names = "SignedHeaders=host;x-amz-content-sha256;x-amz-date"
    scope = "AK/20231114/eu-west-101/s3/aws4_request"
    expected = signature("HEAD", f"{canned.url}{path}", headers)
    assert headers["Authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={scope}, {names}, Signature={expected}"
    )


def test_a_listing_is_signed_with_its_query(canned):
    canned.body = b"<ListBucketResult/>"
    settings = Settings(access_key="AK", secret_key="SK")

    list(ObjectStore(canned.url, settings).sizes("bucket"))

    path, headers = canned.seen[0]
    assert path == "/bucket?marker=&max-keys=1000"
    expected = signature("GET", f"{canned.url}{path}", headers)
    assert headers["Authorization"].endswith(f"Signature={expected}")


def test_a_listing_is_read_page_by_page(store):
    found = dict(ObjectStore(store, Settings()).sizes("bucket", page_size=2))

    assert found == dict.fromkeys(KEYS, len(b"content"))


def test_a_listing_that_is_none_is_an_error(canned):
    canned.body = b"<html><p>Welcome"

    with pytest.raises(RefusedError, match="what answers lists no bucket"):
        list(ObjectStore(canned.url, Settings()).sizes("bucket"))


def test_an_object_that_comes_in_part_is_an_error(canned, tmp_path):
    canned.body, canned.length = b"half", "8"

    with pytest.raises(RefusedError, match="4 bytes are missing"):
        ObjectStore(canned.url, Settings()).fetch("bucket", "key", tmp_path / "file")


def test_an_object_can_be_written_read_and_deleted(store, tmp_path):
    objects = ObjectStore(store, Settings())
    (tmp_path / "source").write_bytes(b"new content")

    objects.send("bucket", "new/ä +.txt", tmp_path / "source")
    objects.fetch("bucket", "new/ä +.txt", tmp_path / "target")
    objects.delete("bucket", "new/ä +.txt")

    assert (tmp_path / "target").read_bytes() == b"new content"
    assert "new/ä +.txt" not in dict(objects.sizes("bucket"))


@pytest.mark.parametrize("key", STRANGE.values(), ids=STRANGE.keys())
def test_an_object_has_the_key_that_it_was_given(store, tmp_path, key):
    objects = ObjectStore(store, Settings())
    near = ["odd/b", "odd/a/b", "b"]
    for name in near:
        (tmp_path / "other").write_bytes(b"other")
        objects.send("bucket", name, tmp_path / "other")
    (tmp_path / "source").write_bytes(b"content of its own")

    objects.send("bucket", f"odd/{key}", tmp_path / "source")
    objects.fetch("bucket", f"odd/{key}", tmp_path / "target")
    there = dict(objects.sizes("bucket", page_size=3))
    objects.delete("bucket", f"odd/{key}")
    left = dict(objects.sizes("bucket"))

    assert (tmp_path / "target").read_bytes() == b"content of its own"
    assert there == left | {f"odd/{key}": 18}
    assert left == dict.fromkeys(KEYS, 7) | dict.fromkeys(near, 5)
    for name in near:
        objects.delete("bucket", name)


@pytest.mark.parametrize("folder", ["v\u202f1", "a//b", "q?x=1", "50%", "h#f", ".", ".."])
def test_a_package_may_lie_in_a_folder_of_any_name(start, store, tmp_path, folder):
    api = start(obs_endpoint=store)
    (tmp_path / "file").write_bytes(b"x")
    ObjectStore(store, Settings()).send("bucket", f"{folder}/odd.jar", tmp_path / "file")

    answer = api.upload(**paths(f"{quote(folder)}/odd.jar"))
    ObjectStore(store, Settings()).delete("bucket", f"{folder}/odd.jar")
    gone = api.upload(**paths(f"{quote(folder)}/odd.jar"))

    assert (answer.status_code, gone.json()["error_code"]) == (201, "DLI.0002")


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://host"])
def test_an_endpoint_that_is_no_address_is_refused(endpoint):
    with pytest.raises(ValueError, match="obs_endpoint must be an http or https address"):
        ObjectStore(endpoint, Settings())
