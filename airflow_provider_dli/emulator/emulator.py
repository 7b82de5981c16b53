# SPDX-License-Identifier: Apache-2.0
"""The emulator as a test holds it: its address, what opens it, its state and its faults."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Unpack

from airflow_provider_dli.emulator.credentials import Credentials, Key, Token
from airflow_provider_dli.emulator.faults import Fault, Faults
from airflow_provider_dli.emulator.gateway import Gateway
from airflow_provider_dli.emulator.iam import Iam
from airflow_provider_dli.emulator.jobs.batches import Batches
from airflow_provider_dli.emulator.jobs.controls import BatchControls
from airflow_provider_dli.emulator.jobs.runs import Runner
from airflow_provider_dli.emulator.messages import JsonObject
from airflow_provider_dli.emulator.metadata import MetadataService
from airflow_provider_dli.emulator.object_store import ObjectStore
from airflow_provider_dli.emulator.record import Record
from airflow_provider_dli.emulator.resources import Resources
from airflow_provider_dli.emulator.service import PackageService
from airflow_provider_dli.emulator.settings import Options, Settings, seconds
from airflow_provider_dli.emulator.timelines import Timeline, Timelines, checked

# Enough for any test; a demonstration that runs for weeks must not fill the memory.
MAX_RECORDS = 100_000


class Emulator(BatchControls):
    """One emulator. Every method may be called from any thread while it runs.

    Made by `running`; the keywords are those of `Settings`.
    """

    def __init__(self, url: str, **options: Unpack[Options]) -> None:
        settings = Settings(**options)
        super().__init__(settings)
        self.url = url
        self.latency = settings.latency
        self.faults = Faults()
        self.credentials = credentials = Credentials(settings)
        self.gateway = Gateway(settings, credentials)
        self.iam = Iam(url, settings, credentials, self.gateway)
        self.metadata = MetadataService(settings, credentials)
        self._timelines = Timelines(settings.upload_seconds)
        self._service = PackageService(settings.now, settings.users, self._timelines)
        endpoint = settings.obs_endpoint
        store = None if endpoint is None else ObjectStore(endpoint, settings)
        self.resources = Resources(self._service, store)
        self.jobs = Batches(self._batch_service, self._service, store)
        if settings.spark is not None and store is not None:
            self.runner = _local_spark(store)
        self._records: deque[Record] = deque(maxlen=MAX_RECORDS)
        self._lock = threading.Lock()

    @property
    def access_key(self) -> str:
        """The access key that the gateway knows."""
        return self.credentials.main_key.access_key

    @property
    def secret_key(self) -> str:
        """Its secret key."""
        return self.credentials.main_key.secret_key

    @property
    def security_token(self) -> str | None:
        """The token that has to come with the key pair, if any."""
        return self.credentials.main_key.security_token

    @property
    def auth_token(self) -> str:
        """The ready-made token for X-Auth-Token."""
        return self.settings.auth_token

    @property
    def project_id(self) -> str:
        """The first project."""
        return self.settings.project_ids[0]

    @property
    def airflow_connection(self) -> JsonObject:
        """The Airflow connection to it, ready for json.dumps into AIRFLOW_CONN_DLI_DEFAULT."""
        extra = {
            "cloud": "huawei",
            "region": self.settings.region,
            "project_id": self.project_id,
            "endpoint": self.url,
        }
        if self.settings.obs_endpoint is not None:
            extra["obs_endpoint"] = self.settings.obs_endpoint
        if self.security_token is not None:
            extra["security_token"] = self.security_token
        keys = {"login": self.access_key, "password": self.secret_key}
        return {"conn_type": "dli", **keys, "extra": extra}

    @property
    def issued_tokens(self) -> list[Token]:
        """The tokens that IAM issued, oldest first, with their texts."""
        return self.credentials.tokens

    @property
    def issued_keys(self) -> list[Key]:
        """The temporary keys that IAM and the metadata service issued, oldest first."""
        return self.credentials.keys

    @property
    def requests(self) -> list[Record]:
        """The requests so far, oldest first: to DLI, IAM and the metadata service."""
        with self._lock:
            return list(self._records)

    @property
    def upload_seconds(self) -> float:
        """How long an asynchronous upload takes, where no timeline says otherwise."""
        return self._timelines.upload_seconds

    @upload_seconds.setter
    def upload_seconds(self, value: float) -> None:
        self._timelines.upload_seconds = seconds("upload_seconds", value)

    @property
    def latency(self) -> float:
        """Real seconds that every request waits before anything happens."""
        return self._latency

    @latency.setter
    def latency(self, value: float) -> None:
        self._latency = seconds("latency", value)

    def add_fault(self, fault: Fault) -> None:
        """Let something go wrong; faults act in the order in which they were added."""
        self.faults.add(fault)

    def clear_faults(self) -> None:
        """Let all go well again."""
        self.faults.clear()

    def expire_credentials(self) -> None:
        """Let every token and temporary key that was issued end at once.

        The keys and the token of the settings stay.
        """
        self.credentials.expire()

    def rotate_keys(self, access_key: str, secret_key: str) -> None:
        """Know this permanent key pair from now on, in place of the one before."""
        self.credentials.rotate(access_key, secret_key)

    def set_timeline(self, pattern: str, timeline: Timeline) -> None:
        """Give later uploads of the packages that match their own timeline.

        `pattern` is matched with the package's name and with `group/name`. The timeline is a list
        such as `[(0, "UPLOADING"), (2, "FAILED")]`; the state None makes the package disappear.
        """
        self._timelines.set(pattern, timeline)

    def clear_timelines(self) -> None:
        """Forget all timelines but the default."""
        self._timelines.clear()

    def put_group(
        self,
        name: str,
        packages: Mapping[str, str],
        *,
        kind: str = "file",
        project_id: str | None = None,
    ) -> None:
        """Have a group with these packages and their states, without an upload."""
        for package, state in packages.items():
            self._put(name, package, state, kind, project_id)

    def put_package(
        self, name: str, state: str = "READY", *, kind: str = "file", project_id: str | None = None
    ) -> None:
        """Have a package outside of all groups, without an upload."""
        self._put(None, name, state, kind, project_id)

    def groups(self, project_id: str | None = None) -> dict[str, JsonObject]:
        """The groups of a project by name, each as the listing prints it."""
        listing = self._service.listing(project_id or self.project_id)
        return {entry["group_name"]: entry for entry in listing["groups"]}

    def packages(self, project_id: str | None = None) -> dict[str, JsonObject]:
        """The packages outside of all groups by name, each as the listing prints it."""
        listing = self._service.listing(project_id or self.project_id)
        return {entry["resource_name"]: entry for entry in listing["resources"]}

    def reset(self) -> None:
        """Back to the first second: nothing stored, issued or recorded; first keys and settings."""
        self._service.clear()
        self._reset_batches()
        self.credentials.clear()
        self.gateway.clear()
        self.metadata.clear()
        self.clear_faults()
        self.clear_timelines()
        self.clear_requests()
        self.upload_seconds = self.settings.upload_seconds
        self.latency = self.settings.latency

    def clear_requests(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self._records.clear()

    def record(self, record: Record) -> None:
        """Remember a request."""
        with self._lock:
            self._records.append(record)

    def state(self) -> JsonObject:
        """Everything but the keys, for the control path."""
        project_ids = dict.fromkeys([*self.settings.project_ids, *self._service.project_ids()])
        return {
            "now": self.settings.now(),
            "settings": {
                name: getattr(self, name)
                for name in ("latency", "upload_seconds", "batch_seconds", "batch_retention")
            },
            "users": list(self.settings.users),
            "issued": self.credentials.as_json(),
            "projects": {
                project_id: {
                    "groups": self.groups(project_id),
                    "packages": self.packages(project_id),
                    "batches": self.batches(project_id),
                }
                for project_id in project_ids
            },
            "timelines": self._timelines.as_json(),
            "submissions": self.submissions,
            "batch_timelines": self._batch_timelines.as_json(),
            "faults": self.faults.as_json(),
            "requests": len(self.requests),
        }

    def _put(
        self, group: str | None, name: str, state: str, kind: str, project_id: str | None
    ) -> None:
        timeline = checked([(0, state)])
        self._service.put(project_id or self.project_id, group, name, kind, timeline)


def _local_spark(store: ObjectStore) -> Runner:
    # Only now: nobody else needs what it needs.
    from airflow_provider_dli.emulator.jobs.local_spark import LocalSpark

    return LocalSpark(store)
