# SPDX-License-Identifier: Apache-2.0
"""Who knows nothing of this package reads what it stored: the vendor's client, the emulator."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from obs import ObsClient

from airflow_provider_dli.api.obs.models import FileToSend
from airflow_provider_dli.emulator.object_store import ObjectStore
from airflow_provider_dli.emulator.settings import Settings
from airflow_provider_dli.hooks.obs import ObsHook
from airflow_provider_dli.transfer.sending import PART

KEYS = ["a.jar", "a b+c/ü&%41~x", "jars/d+e/1?2#3"]
DATA = b"0123456789" * 100


@pytest.fixture
def vendor(object_store: str) -> Iterator[Any]:
    client = ObsClient(
        access_key_id="a",
        secret_access_key="b",
        server=object_store,
        signature="v4",
        path_style=True,
        is_signature_negotiation=False,
    )
    yield client
    client.close()


@pytest.mark.parametrize("key", KEYS)
def test_the_vendor_s_client_reads_what_the_hook_wrote(
    obs: ObsHook, bucket: str, vendor: Any, key: str
) -> None:
    obs.write_object(bucket, key, DATA)

    read = vendor.getObject(bucket, key, loadStreamInMemory=True)
    assert read.body.buffer == DATA
    told = {name.lower(): value for name, value in read.header}
    assert told["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert [one.key for one in vendor.listObjects(bucket).body.contents] == [key]


@pytest.mark.parametrize("key", KEYS)
def test_the_hook_reads_what_the_vendor_s_client_wrote(
    obs: ObsHook, bucket: str, vendor: Any, key: str
) -> None:
    assert vendor.putContent(bucket, key, DATA).status == 200

    assert obs.read_object(bucket, key) == DATA
    assert [one.key for one in obs.list_objects(bucket)] == [key]


def test_the_vendor_s_client_reads_what_was_sent_in_parts(
    obs: ObsHook, bucket: str, vendor: Any, make: Callable[..., FileToSend]
) -> None:
    file = make(2 * PART + 1)

    obs.upload_files(bucket, [file])

    read = vendor.getObject(bucket, file.key, loadStreamInMemory=True)
    assert read.body.buffer == file.path.read_bytes()


def test_the_vendor_s_client_sees_and_ends_an_upload_in_parts(
    obs: ObsHook, bucket: str, vendor: Any
) -> None:
    obs.start_multipart(bucket, "k").send(1, DATA)

    (seen,) = vendor.listMultipartUploads(bucket).body.upload
    assert seen.key == "k"
    assert vendor.abortMultipartUpload(bucket, "k", seen.uploadId).status == 204


@pytest.mark.parametrize("key", KEYS)
def test_the_emulator_reads_what_the_hook_wrote(
    obs: ObsHook, object_store: str, bucket: str, tmp_path: Path, key: str
) -> None:
    obs.write_object(bucket, key, DATA)
    store = ObjectStore(object_store, Settings())

    store.fetch(bucket, key, tmp_path / "read")

    assert (tmp_path / "read").read_bytes() == DATA
    assert list(store.sizes(bucket)) == [(key, len(DATA))]
