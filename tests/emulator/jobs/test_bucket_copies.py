# SPDX-License-Identifier: Apache-2.0
"""A bucket becomes a folder as far as its keys can be files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest

from airflow_provider_dli.emulator.jobs import bucket_copies
from airflow_provider_dli.emulator.jobs.bucket_copies import BucketCopies
from airflow_provider_dli.emulator.messages import RefusedError
from airflow_provider_dli.emulator.object_store import ObjectStore
from airflow_provider_dli.emulator.settings import Settings


@pytest.fixture
def s3(object_store: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("s3", endpoint_url=object_store, region_name="us-east-1", **keys)


@pytest.fixture
def copies(object_store: str, tmp_path: Path) -> BucketCopies:
    return BucketCopies(ObjectStore(object_store, Settings()), tmp_path)


def keys(s3: Any, bucket: str) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_an_empty_bucket_is_an_empty_folder(copies, bucket):
    assert copies.bring([bucket]) == []

    assert list(copies.folders[bucket].iterdir()) == []


def test_keys_of_any_letters_become_files(copies, s3, bucket):
    for key in ("a b/ä+%20&c.txt", "~x"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"content")

    copies.bring([bucket])

    assert (copies.folders[bucket] / "a b" / "ä+%20&c.txt").read_bytes() == b"content"
    assert (copies.folders[bucket] / "~x").exists()


@pytest.mark.parametrize("key", ["../up", "a/../../up", "a//b", "./a", "/a"])
def test_a_key_that_is_no_path_of_its_own_is_left_out_and_stays(copies, s3, bucket, tmp_path, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"")

    left_out = copies.bring([bucket])
    copies.send_back()

    assert left_out == [f"{bucket}/{key}"]
    assert keys(s3, bucket) == [key]
    assert not (tmp_path / "up").exists()


@pytest.mark.parametrize("key", ["a/b", "a/b/c", "a/"])
def test_a_key_below_a_file_is_left_out_and_stays(copies, s3, bucket, key):
    for one in ("a", key):
        s3.put_object(Bucket=bucket, Key=one, Body=b"")

    assert copies.bring([bucket]) == [f"{bucket}/{key}"]

    copies.send_back()
    assert sorted(keys(s3, bucket)) == ["a", key]


def test_the_mark_of_a_folder_becomes_a_folder_and_stays(copies, s3, bucket):
    s3.put_object(Bucket=bucket, Key="folder/", Body=b"")

    assert copies.bring([bucket]) == []

    assert (copies.folders[bucket] / "folder").is_dir()
    copies.send_back()
    assert keys(s3, bucket) == ["folder/"]


def test_a_file_that_was_replaced_by_one_of_the_same_size_is_sent(copies, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"old")
    copies.bring([bucket])
    new = copies.folders[bucket] / "new"
    new.write_bytes(b"new")
    new.rename(copies.folders[bucket] / "a")

    copies.send_back()

    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"new"


def test_buckets_with_too_many_objects_are_refused_before_any_comes(copies, s3, bucket, tmp_path):
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=str(number), Body=b"12")

    with pytest.raises(RefusedError, match=r"hold 3 objects of 6 bytes.*name smaller buckets"):
        BucketCopies(copies._store, tmp_path, max_objects=2).bring([bucket])

    assert list(tmp_path.iterdir()) == []


def test_buckets_that_are_too_large_are_refused(copies, s3, bucket, tmp_path):
    s3.put_object(Bucket=bucket, Key="a", Body=b"12345")

    with pytest.raises(RefusedError, match=r"up to 10,000 objects of 4 bytes"):
        BucketCopies(copies._store, tmp_path, max_bytes=4).bring([bucket])


def test_the_limits_are_those_of_a_laptop():
    assert (bucket_copies.MAX_OBJECTS, bucket_copies.MAX_BYTES) == (10_000, 1024**3)
