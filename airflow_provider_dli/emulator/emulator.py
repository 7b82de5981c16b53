# SPDX-License-Identifier: Apache-2.0
"""The emulator for tests: its address, credentials, state and faults."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Unpack

from airflow_provider_dli.emulator.credentials import Credentials, Key, Token
from airflow_provider_dli.emulator.faults import Fault, Faults
from airflow_provider_dli.emulator.gateway import Gateway
from airflow_provider_dli.emulator.iam import Iam
from airflow_provider_dli.emulator.jobs.batches import Batches
from airflow_provider_dli.emulator.jobs.runs import Runner
from airflow_provider_dli.emulator.jobs.service import BatchService
from airflow_provider_dli.emulator.jobs.timelines import BatchTimelines, Lines
from airflow_provider_dli.emulator.messages import JsonObject
from airflow_provider_dli.emulator.metadata import MetadataService
from airflow_provider_dli.emulator.object_store import ObjectStore
from airflow_provider_dli.emulator.record import Record
from airflow_provider_dli.emulator.resources import Resources
from airflow_provider_dli.emulator.service import PackageService
from airflow_provider_dli.emulator.settings import Options, Settings, seconds, seconds_or_never
from airflow_provider_dli.emulator.timelines import Timeline, Timelines, checked

# Enough for any test, but a process that runs for weeks must not fill the memory.
MAX_RECORDS = 100_000


class Emulator:
    """An emulator. All methods may be called from any thread while it runs.

    Created by `running`; the keywords are those of `Settings`.
    """

    def __init__(self, url: str, **options: Unpack[Options]) -> None:
        self.settings = settings = Settings(**options)
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
        self._batch_timelines = BatchTimelines(settings.batch_seconds)
        self._batch_service = BatchService(settings, self._batch_timelines)
        self.jobs = Batches(self._batch_service, self._service, store)
        if settings.spark is not None and store is not None:
            self.runner = _local_spark(store)
        self._records: deque[Record] = deque(maxlen=MAX_RECORDS)
        self._lock = threading.Lock()

    @property
    def access_key(self) -> str:
        """The access key that the gateway accepts."""
        return self.credentials.main_key.access_key

    @property
    def secret_key(self) -> str:
        """Its secret key."""
        return self.credentials.main_key.secret_key

    @property
    def security_token(self) -> str | None:
        """The security token of the key pair, if it is temporary."""
        return self.credentials.main_key.security_token

    @property
    def auth_token(self) -> str:
        """The predefined token for X-Auth-Token."""
        return self.settings.auth_token

    @property
    def project_id(self) -> str:
        """The first project."""
        return self.settings.project_ids[0]

    @property
    def airflow_connection(self) -> JsonObject:
        """The Airflow connection to it, to be dumped as JSON into AIRFLOW_CONN_DLI_DEFAULT."""
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
        """The tokens issued by IAM, oldest first."""
        return self.credentials.tokens

    @property
    def issued_keys(self) -> list[Key]:
        """The temporary keys issued by IAM and the metadata service, oldest first."""
        return self.credentials.keys

    @property
    def requests(self) -> list[Record]:
        """The requests to DLI, IAM and the metadata service so far, oldest first."""
        with self._lock:
            return list(self._records)

    @property
    def upload_seconds(self) -> float:
        """Seconds that an asynchronous upload takes without a timeline."""
        return self._timelines.upload_seconds

    @upload_seconds.setter
    def upload_seconds(self, value: float) -> None:
        self._timelines.upload_seconds = seconds("upload_seconds", value)

    @property
    def latency(self) -> float:
        """Real seconds by which every request is delayed."""
        return self._latency

    @latency.setter
    def latency(self, value: float) -> None:
        self._latency = seconds("latency", value)

    def add_fault(self, fault: Fault) -> None:
        """Adds a fault; faults act in the order in which they were added."""
        self.faults.add(fault)

    def clear_faults(self) -> None:
        """Removes all faults."""
        self.faults.clear()

    def expire_credentials(self) -> None:
        """Expires all issued tokens and temporary keys at once.

        The keys and the token of the settings stay valid.
        """
        self.credentials.expire()

    def rotate_keys(self, access_key: str, secret_key: str) -> None:
        """Replaces the permanent key pair."""
        self.credentials.rotate(access_key, secret_key)

    def set_timeline(self, pattern: str, timeline: Timeline) -> None:
        """Sets the timeline for later uploads of matching packages.

        `pattern` is compared with the package's name and with `group/name`. The timeline is a list
        such as `[(0, "UPLOADING"), (2, "FAILED")]`; with the state None the package disappears.
        """
        self._timelines.set(pattern, timeline)

    def clear_timelines(self) -> None:
        """Removes all timelines but the default."""
        self._timelines.clear()

    def put_group(
        self,
        name: str,
        packages: Mapping[str, str],
        *,
        kind: str = "file",
        project_id: str | None = None,
    ) -> None:
        """Creates a group with packages in the given states, without an upload."""
        for package, state in packages.items():
            self._put(name, package, state, kind, project_id)

    def put_package(
        self, name: str, state: str = "READY", *, kind: str = "file", project_id: str | None = None
    ) -> None:
        """Creates a package outside of all groups, without an upload."""
        self._put(None, name, state, kind, project_id)

    def groups(self, project_id: str | None = None) -> dict[str, JsonObject]:
        """Returns the groups of a project by name, each as in a listing."""
        listing = self._service.listing(project_id or self.project_id)
        return {entry["group_name"]: entry for entry in listing["groups"]}

    def packages(self, project_id: str | None = None) -> dict[str, JsonObject]:
        """Returns the packages outside of all groups by name, each as in a listing."""
        listing = self._service.listing(project_id or self.project_id)
        return {entry["resource_name"]: entry for entry in listing["resources"]}

    @property
    def runner(self) -> Runner | None:
        """Runs the jobs that have no timeline of their own; None = they follow the default one."""
        return self._batch_service.runner

    @runner.setter
    def runner(self, value: Runner | None) -> None:
        self._batch_service.runner = value

    @property
    def batch_seconds(self) -> float:
        """Seconds that a job takes without a timeline; it is starting for a third of them."""
        return self._batch_timelines.batch_seconds

    @batch_seconds.setter
    def batch_seconds(self, value: float) -> None:
        self._batch_timelines.batch_seconds = seconds("batch_seconds", value)

    @property
    def batch_retention(self) -> float | None:
        """Seconds for which a successful job is kept; None = forever."""
        return self._batch_service.retention

    @batch_retention.setter
    def batch_retention(self, value: float | None) -> None:
        self._batch_service.retention = seconds_or_never("batch_retention", value)

    @property
    def submissions(self) -> dict[str, int]:
        """The number of submitted jobs by name, including those no longer kept."""
        return self._batch_service.submissions()

    def batches(self, project_id: str | None = None) -> dict[str, JsonObject]:
        """Returns the batch jobs of a project by id, oldest first, each as the service shows it."""
        return self._batch_service.all(project_id or self.project_id)

    def set_batch_timeline(self, pattern: str, timeline: Timeline, log: Lines = ()) -> None:
        """Sets the timeline and driver log for later jobs with a matching name.

        The timeline is a list such as `[(0, "starting"), (2, "running"), (5, "dead")]`; the state
        None makes the job disappear. After `dead` it continues only for a job with `auto_recovery`,
        at most `max_retry_times` times. A job that stays `starting` is dead after three hours.

        The log is a list such as `[(2, "a line"), (4, "another")]`. A line that is written after a
        step to `recovering` is part of the next driver log.
        """
        self._batch_timelines.set(pattern, timeline, log)

    def clear_batch_timelines(self) -> None:
        """Removes all timelines of batch jobs but the default."""
        self._batch_timelines.clear()

    def add_batch(
        self,
        request: JsonObject | str | None,
        state: str = "running",
        *,
        listed: bool = True,
        project_id: str | None = None,
    ) -> str:
        """Creates a Spark batch job in a state, without a submission, and returns its id.

        `request` is the body of its submission. Text is shown as it is, even if it is not JSON;
        None is not shown. With `listed=False` the request is not part of listings.
        """
        project_id = project_id or self.project_id
        return self._batch_service.put(project_id, request, state, listed=listed)

    def set_batch_state(self, batch_id: str, state: str) -> None:
        """Sets the state of a job and ends its timeline."""
        self._batch_service.set_state(batch_id, state)

    def write_batch_log(self, batch_id: str, lines: Sequence[str]) -> None:
        """Appends lines to the driver log of a job's current run."""
        self._batch_service.write(batch_id, lines)

    def reset(self) -> None:
        """Restores the initial state: nothing stored, issued or recorded; the first settings."""
        self._service.clear()
        self._batch_service.clear()
        self.clear_batch_timelines()
        self.batch_seconds = self.settings.batch_seconds
        self.batch_retention = self.settings.batch_retention
        self.credentials.clear()
        self.gateway.clear()
        self.metadata.clear()
        self.clear_faults()
        self.clear_timelines()
        self.clear_requests()
        self.upload_seconds = self.settings.upload_seconds
        self.latency = self.settings.latency

    def close(self) -> None:
        """Ends all running jobs; the emulator cannot be used after that."""
        if self.runner is not None:
            self.runner.close()

    def clear_requests(self) -> None:
        """Removes the recorded requests."""
        with self._lock:
            self._records.clear()

    def record(self, record: Record) -> None:
        """Records a request."""
        with self._lock:
            self._records.append(record)

    def state(self) -> JsonObject:
        """Returns the whole state without secrets, for the control path."""
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
    # Imported late: only this function needs its dependencies.
    from airflow_provider_dli.emulator.jobs.local_spark import LocalSpark

    return LocalSpark(store)
