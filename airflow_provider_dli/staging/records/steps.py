# SPDX-License-Identifier: Apache-2.0
"""The single steps by which staging works on records, the bucket and DLI, and how to run them.

The rules in `upload_flow` are generators that yield these steps and are sent the results, or are
thrown the errors. Hooks run them in a task; a test walks through them in every order.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dli.api.protocol.errors import DliError

if TYPE_CHECKING:
    from airflow_provider_dli.api.packages.models import PackageGroup
    from airflow_provider_dli.hooks.dli import DliHook
    from airflow_provider_dli.hooks.obs import ObsHook

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ListObjects:
    """Asks for the objects whose keys start with a prefix: a list of `StoredObject`."""

    prefix: str


@dataclass(frozen=True, slots=True)
class ReadObject:
    """Asks for the bytes of an object. Raises `NotFoundError` if it is absent."""

    key: str


@dataclass(frozen=True, slots=True)
class WriteObject:
    """Asks to write an object."""

    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class DeleteObjects:
    """Asks to delete objects, in this order as far as the service keeps it, if they exist."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindGroup:
    """Asks for a group in DLI's listing: a `PackageGroup` or `None`."""

    group: str


@dataclass(frozen=True, slots=True)
class UploadGroup:
    """Asks to upload what was announced: the `PackageGroup` of DLI's answer."""

    group: str


Step = ListObjects | ReadObject | WriteObject | DeleteObjects | FindGroup | UploadGroup
Steps = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class StepRunner:
    """Runs steps on one bucket, and on DLI."""

    dli: DliHook
    obs: ObsHook
    bucket: str

    def run(self, steps: Steps[T], upload: Callable[[], PackageGroup] | None = None) -> T:
        """Runs steps to their end; `upload` carries out `UploadGroup`."""
        try:
            step = next(steps)
            while True:
                try:
                    result = self._run_step(step, upload)
                except DliError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as ended:
            value: T = ended.value
            return value

    def _run_step(self, step: Step, upload: Callable[[], PackageGroup] | None) -> object:
        match step:
            case ListObjects(prefix):
                return list(self.obs.list_objects(self.bucket, prefix))
            case ReadObject(key):
                return self.obs.read_object(self.bucket, key)
            case WriteObject(key, body):
                return self.obs.write_object(self.bucket, key, body)
            case DeleteObjects(keys):
                self.obs.delete_objects(self.bucket, keys)
                return None
            case FindGroup(group):
                return self.dli.get_package_group(group)
            case UploadGroup():
                assert upload is not None, "only `announce_and_upload` uploads"  # noqa: S101
                return upload()
