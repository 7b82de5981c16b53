# SPDX-License-Identifier: Apache-2.0
"""Objects are asked for by the same flows in the worker and in the triggerer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from fake_clock import FakeClock
from transport.worlds import World, world

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey
from airflow_provider_dli.api.obs import uploads
from airflow_provider_dli.api.obs.objects import Bucket
from airflow_provider_dli.api.obs.service import OBS
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import NotFoundError, ObjectChangedError

DATA = b"0123456789" * 1000
ODD_KEYS = ["a b+c/ü&%41~x?y=z#w", "/leading//and/./inner/../end/", "\u202f\u200d\ue000"]


@pytest.fixture
def there(world_kind: str, clock: FakeClock) -> Iterator[World]:
    with world(world_kind, clock) as there:
        yield there


@pytest.fixture
def objects(object_store: str, bucket: str, clock: FakeClock) -> Bucket:
    account = Account("http://dli.invalid", "p1", AccessKey("a", "b"), obs_origin=object_store)
    return Bucket(Client(account, now=clock.now, service=OBS), bucket)


def put(there: World, objects: Bucket, key: str, data: bytes = DATA) -> str:
    return there.run(objects.put(key, data, hashlib.sha256(data).hexdigest())).etag


@pytest.mark.parametrize("key", ODD_KEYS)
def test_an_object_is_written_found_read_copied_and_deleted_by_its_exact_key(
    there: World, objects: Bucket, key: str
) -> None:
    put(there, objects, key)

    found = there.run(objects.find(key))
    assert found is not None
    assert found.size == len(DATA)
    assert there.run(objects.read(key)) == DATA
    assert there.run(objects.read(key, 5, 15)) == DATA[5:15]
    there.run(objects.copy(key, objects, f"copies/{key}"))
    page = there.run(objects.listing().next_page())
    assert {one.key for one in page.objects} == {key, f"copies/{key}"}
    there.run(objects.delete([key, f"copies/{key}"]))
    assert there.run(objects.find(key)) is None


def test_an_object_that_is_another_by_now_is_not_read(there: World, objects: Bucket) -> None:
    etag = put(there, objects, "k")
    put(there, objects, "k", b"other")

    with pytest.raises(ObjectChangedError):
        there.run(objects.read("k", 0, 5, etag))


def test_what_is_not_there_is_told(there: World, objects: Bucket) -> None:
    with pytest.raises(NotFoundError, match=f"GET {objects.name}/k was answered with HTTP 404"):
        there.run(objects.read("k"))


def test_an_object_is_sent_in_parts(there: World, objects: Bucket) -> None:
    upload = there.run(uploads.begin(objects, "k"))

    assert there.run(upload.send(1, bytes(5 * 2**20)))
    assert there.run(upload.send(2, b"end"))

    assert there.run(upload.complete()).size == 5 * 2**20 + 3
    assert there.run(objects.read("k", 5 * 2**20)) == b"end"
