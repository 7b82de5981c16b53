"""An emulator whose jobs run on a real Spark, and an Airflow connected to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from conftest import connection

from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.hooks.dli import DliHook


@pytest.fixture
def emulator(object_store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with running(obs_endpoint=object_store, upload_seconds=0.2, spark="local") as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
        yield emulator


@pytest.fixture
def hook(emulator: Emulator) -> Iterator[DliHook]:
    """Returns a hook on the machine's clock: Spark knows no other."""
    with DliHook() as hook:
        yield hook


@pytest.fixture
def s3(object_store: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("s3", endpoint_url=object_store, region_name="us-east-1", **keys)


@pytest.fixture
def put(s3: Any, bucket: str) -> Callable[[str, str], str]:
    """Put a text into the bucket, and give its path."""

    def put(key: str, text: str) -> str:
        s3.put_object(Bucket=bucket, Key=key, Body=text.encode())
        return f"obs://{bucket}/{key}"

    return put


@pytest.fixture
def read(s3: Any, bucket: str) -> Callable[[str], list[str]]:
    """Read the lines of all objects below a key."""

    def read(prefix: str) -> list[str]:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        bodies = [s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in found]
        return [line for body in bodies for line in body.decode().splitlines()]

    return read


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs a real Spark: `make test-spark` runs it, `make test` does not."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.spark)
