# SPDX-License-Identifier: Apache-2.0
"""What lies below a prefix is read from one listing as far as that costs less than single looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from airflow_provider_dli.api.obs.models import StoredObject
from airflow_provider_dli.staging.content import LocalPackage, object_key, old_object_key
from airflow_provider_dli.staging.existing_objects import PAGE, ExistingObjects
from airflow_provider_dli.staging.records.groups import RecordFolder

SHA256 = "0123456789abcdef" * 4
FOLDER = RecordFolder.of("p", "project", "g")


@dataclass
class Bucket:
    """A bucket in memory, with what it was asked."""

    objects: dict[str, StoredObject] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)

    def put(self, key: str, size: int = 3, sha256: str | None = SHA256) -> None:
        self.objects[key] = StoredObject(key, size, "", 5.0, sha256)

    def list_objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        self.listed.append(prefix)
        return (one for key, one in sorted(self.objects.items()) if key.startswith(prefix))

    def find_objects(self, bucket: str, keys: Iterable[str]) -> dict[str, StoredObject]:
        self.looked += keys
        return {key: self.objects[key] for key in keys if key in self.objects}


def package(name: str = "a.jar") -> LocalPackage:
    return LocalPackage(name, Path(name), name, 3, SHA256)


NEW, OLD = object_key("p", package()), old_object_key("p", package())


@pytest.fixture(params=[0, 2 * PAGE], ids=["few objects", "many objects"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    bucket = Bucket()
    for number in range(request.param):
        bucket.put(f"p/{number:06}")
    return bucket


def there(bucket: Bucket, *, force: bool = False) -> tuple[str, bool]:
    stored = ExistingObjects.listed(bucket, "bucket", "p", files=1)
    return stored.keys_of([package()], force=force)["a.jar"]


def test_an_absent_object_is_to_be_sent(bucket: Bucket) -> None:
    assert there(bucket) == (NEW, False)


def test_an_object_under_its_key_with_its_size_is_there(bucket: Bucket) -> None:
    bucket.put(NEW)

    assert there(bucket) == (NEW, True)


def test_an_object_of_another_size_is_sent_again(bucket: Bucket) -> None:
    bucket.put(NEW, size=2)

    assert there(bucket) == (NEW, False)


def test_an_object_of_0_1_with_its_digest_is_there(bucket: Bucket) -> None:
    bucket.put(OLD)

    assert there(bucket) == (OLD, True)


@pytest.mark.parametrize("sha256", [None, SHA256[::-1]])
def test_an_object_of_0_1_without_its_digest_is_not_there(
    bucket: Bucket, sha256: str | None
) -> None:
    bucket.put(OLD, sha256=sha256)

    assert there(bucket) == (NEW, False)


def test_what_is_forced_is_sent_and_nothing_is_looked_at(bucket: Bucket) -> None:
    bucket.put(NEW)

    assert there(bucket, force=True) == (NEW, False)
    assert bucket.looked == []


def test_a_listing_alone_tells_what_is_there_where_it_has_one_page() -> None:
    bucket = Bucket()
    bucket.put(NEW)

    there(bucket)

    assert (bucket.listed, bucket.looked) == (["p/"], [])


@pytest.mark.parametrize(("files", "pages"), [(0, 1), (1, 1), (7, 1), (8, 2), (12, 3)])
def test_one_page_is_listed_for_every_four_files(files: int, pages: int) -> None:
    bucket = Bucket()
    for number in range(4000):
        bucket.put(f"p/{number:06}")

    existing = ExistingObjects.listed(bucket, "bucket", "p", files=files)

    assert len(existing.objects) == pages * 1000
    assert not existing.is_whole


@pytest.mark.parametrize(("objects", "is_whole"), [(999, True), (1000, False), (1001, False)])
def test_a_listing_is_whole_if_it_ends_before_its_limit(objects: int, is_whole: bool) -> None:
    bucket = Bucket()
    for number in range(objects):
        bucket.put(f"p/{number:06}")

    assert ExistingObjects.listed(bucket, "bucket", "p", files=1).is_whole is is_whole


def test_records_are_those_of_the_group_and_of_0_1() -> None:
    bucket = Bucket()
    own = [FOLDER.begun_key("1"), FOLDER.old_key]
    for key in [*own, f"{FOLDER.path[:-1]}-2.json", f"{FOLDER.path[:-1]}-2/begun-1.json"]:
        bucket.put(key)

    records = ExistingObjects.listed(bucket, "bucket", "p", files=1).records_of(FOLDER)

    assert {one.key for one in records or ()} == set(own)


def test_a_listing_that_is_not_whole_tells_no_records(bucket: Bucket) -> None:
    stored = ExistingObjects.listed(bucket, "bucket", "p", files=1)

    assert (stored.records_of(FOLDER) is None) is not stored.is_whole


def test_a_record_of_a_task_is_found_either_way(bucket: Bucket) -> None:
    bucket.put("p/~/task.json")
    stored = ExistingObjects.listed(bucket, "bucket", "p", files=1)

    assert stored.modified("p/~/task.json", "p/~/") == 5.0
    assert stored.modified("p/~/other.json", "p/~/") is None
