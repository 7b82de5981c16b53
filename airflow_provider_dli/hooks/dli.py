# SPDX-License-Identifier: Apache-2.0
"""The hook: one account's DLI, with named methods for DAG authors."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.packages import calls, flows
from airflow_provider_dli.api.packages.readiness import ABSENT, Verdict, judge
from airflow_provider_dli.api.packages.wait import GroupWait
from airflow_provider_dli.api.protocol.errors import InputError, PackageGroupExistsError
from airflow_provider_dli.api.protocol.wait import MAX_UNKNOWN_TIME
from airflow_provider_dli.hooks.batches import DliBatchHook
from airflow_provider_dli.hooks.progress import GroupProgress

if TYPE_CHECKING:
    from airflow_provider_dli.api.packages.models import Package, PackageGroup, PackageListing
    from airflow_provider_dli.api.protocol.wait import Subscriber
    from airflow_provider_dli.api.protocol.wire import Call

F = TypeVar("F")


class DliHook(DliBatchHook):
    """Packages and Spark jobs of Data Lake Insight on Huawei Cloud or Open Telekom Cloud.

    Nothing is looked up or connected before the first method is called. Methods raise
    ``InputError`` for wrong values before any request, and the other errors of
    ``airflow_provider_dli.exceptions`` for what came back.

    .. code-block:: python

        @task
        def show(group: str) -> dict:
            found = DliHook().get_package_group(group)
            return found.as_dict() if found else {}

    :param dli_conn_id: connection of type ``dli``
    :param region: wins over the connection's region
    :param project_id: wins over the connection's project id
    :param clock: tells the time and sleeps; a test may give its own
    """

    # Here, since Airflow does not look for these two in a base class.
    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """Give the form to Airflow before 3.2; newer ones read the provider's info."""
        from airflow_provider_dli.connection_form import widgets

        return widgets()

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """Give labels and hidden fields to Airflow before 3.2."""
        from airflow_provider_dli.connection_form import behaviour

        return behaviour()

    def upload_package_group(
        self,
        paths: Sequence[str],
        group: str | None = None,
        kind: str = "file",
        is_async: bool = True,
        tags: calls.Tags | None = None,
        *,
        if_exists: calls.IfExists = "replace",
    ) -> PackageGroup:
        """Upload OBS objects as packages in one call, into a group or without one.

        Does not wait: see :meth:`wait_until_ready`. When the answer is lost, the listing is looked
        at before the upload is sent again.

        :param paths: OBS objects, ``https://bucket.obs.region.host/key`` or ``obs://bucket/key``
        :param group: name of the group; ``None`` uploads packages that belong to no group
        :param kind: ``jar``, ``pyFile``, ``file`` (also for a mixture) or ``modelFile``
        :param is_async: let DLI answer at once and go on uploading
        :param tags: ``{"key": "value"}`` or ``[{"key": …, "value": …}]``
        :param if_exists: ``replace`` uploads in any case; ``skip`` does not when every package is
            there and none FAILED; ``fail`` raises ``PackageGroupExistsError`` when the group, or
            a package without a group, is there
        """
        checks.choice("if_exists", if_exists, get_args(calls.IfExists))
        call = calls.upload(
            paths,
            kind,
            group=group,
            is_async=is_async,
            tags=tags,
            cloud=self.account.cloud,
            region=self.account.region,
        )
        return self._upload(call, paths, group, if_exists)

    def upload_jars(self, paths: Sequence[str], group: str) -> PackageGroup:
        """Upload JAR packages into a group, synchronously (``POST …/resources/jars``)."""
        return self._upload_typed(paths, "jar", group)

    def upload_pyfiles(self, paths: Sequence[str], group: str) -> PackageGroup:
        """Upload Python packages into a group, synchronously (``POST …/resources/pyfiles``)."""
        return self._upload_typed(paths, "pyFile", group)

    def upload_files(self, paths: Sequence[str], group: str) -> PackageGroup:
        """Upload plain files into a group, synchronously (``POST …/resources/files``)."""
        return self._upload_typed(paths, "file", group)

    def wait_until_ready(
        self,
        group: str | None,
        packages: Sequence[str],
        *,
        poll_interval: float = 10.0,
        timeout: float = 1800.0,
        max_unknown_time: float = MAX_UNKNOWN_TIME,
    ) -> PackageGroup:
        """Wait until every one of `packages` is READY, and give the group.

        Raises ``PackageGroupFailedError`` for a package that is FAILED, missing or gone, and
        ``PackageGroupTimeoutError`` when time is up.

        :param group: name of the group; ``None`` for packages that belong to no group
        :param packages: names of the packages, as :meth:`package_names` gives them
        :param poll_interval: seconds between two looks; the first ones come sooner
        :param timeout: seconds
        :param max_unknown_time: seconds for which the listing may be out of reach, a package be
            absent, or its state be a word that nobody knows
        """
        names = checks.package_names(packages)
        log = self.state_log()
        wait = GroupWait(
            group,
            names,
            deadline=self._clock.now() + checks.seconds("timeout", timeout),
            poll_interval=checks.seconds("poll_interval", poll_interval),
            max_unknown_time=checks.seconds("max_unknown_time", max_unknown_time),
            accepted=True,
            looked=self._client.has_answered,
            observe=log,
            trouble=log.trouble,
        )
        ready = self._run(flows.until_ready(self._client, wait))
        self.log.info("READY after %.1f s: %s", log.seconds, ", ".join(packages))
        return ready

    def look_for(self, wait: Subscriber[Any, F], call: Call[F | None]) -> F | None:
        """Take one look of a wait. Returns what it found if that ends the wait, else ``None``.

        Raises what the wait raises.

        :param wait: a `GroupWait` or a `JobWait`
        :param call: the call of a look
        """
        flow = self._client.look_for(wait, call)
        return self._run(flow)

    def sleep(self, seconds: float) -> None:
        """Wait by the hook's clock."""
        self._clock.sleep(seconds)

    def state_log(self) -> GroupProgress:
        """Give an observer that logs each change of state, for code that polls by itself."""
        return GroupProgress(self.log, self._clock.now)

    def package_names(self, paths: Sequence[str]) -> dict[str, str]:
        """Give the package name of each OBS object, and the HTTPS form of the object."""
        urls = checks.paths(paths, self.account.cloud, self.account.region)
        return {checks.package_name(url): url for url in urls}

    def list_packages(self, kind: str | None = None, tags: str | None = None) -> PackageListing:
        """List every group and package that this user may see.

        :param kind: only of this kind
        :param tags: text for the service's tag filter, whose format is not documented
        """
        return self._run(self._client.perform(calls.listing(kind, tags)))

    def get_package(self, name: str, group: str | None = None) -> Package:
        """Show one package; raises ``NotFoundError`` when there is none.

        :param name: name of the package
        :param group: its group; ``None`` for a package that belongs to no group
        """
        return self._run(self._client.perform(calls.show(name, group)))

    def get_package_group(self, group: str, kind: str | None = None) -> PackageGroup | None:
        """Find a group in the listing, since DLI has no call for one; ``None`` when absent.

        :param group: name of the group
        :param kind: ask the service for packages of this kind only
        """
        return self._run(flows.find(self._client, checks.stored_name("group", group), kind=kind))

    def delete_package(self, name: str, group: str | None = None) -> None:
        """Delete one package; raises ``NotFoundError`` when there is none.

        :param name: name of the package
        :param group: its group; ``None`` for a package that belongs to no group
        """
        self._run(flows.delete(self._client, name, group))

    def delete_package_group(
        self, group: str, packages: Collection[str] | None = None
    ) -> tuple[str, ...]:
        """Delete a group's packages one by one and give the names that were deleted.

        Absent packages, or an absent group, count as done.

        :param group: name of the group
        :param packages: names of the packages to delete; ``None`` for all
        """
        if isinstance(packages, str):
            raise InputError("packages", packages, "give a list of package names")
        checks.stored_name("group", group)
        # Read once, for what gives its names only once.
        names = packages if packages is None else tuple(packages)
        for name in names or ():
            checks.stored_name("packages", name)
        deleted = self._run(flows.delete_group(self._client, group, names))
        self.log.info("Deleted of package group %r: %s", group, ", ".join(deleted) or "nothing")
        return deleted

    def change_package_owner(
        self, new_owner: str, group: str | None = None, name: str | None = None
    ) -> None:
        """Give a group, one package of it, or a package without a group to another user.

        :param new_owner: name of an IAM user
        :param group: name of the group
        :param name: name of the package
        """
        self._run(self._client.perform(calls.change_owner(new_owner, group, name)))

    def _upload_typed(self, paths: Sequence[str], kind: str, group: str) -> PackageGroup:
        call = calls.upload_typed(
            paths, kind, group, cloud=self.account.cloud, region=self.account.region
        )
        return self._upload(call, paths, group, "replace")

    def _upload(
        self,
        call: Call[PackageGroup],
        paths: Sequence[str],
        group: str | None,
        if_exists: calls.IfExists,
    ) -> PackageGroup:
        urls = self.package_names(paths)
        where = "the packages without a group" if group is None else f"package group {group!r}"
        if if_exists != "replace":
            found = self._run(flows.find(self._client, group, urls))
            if found is not None and found.packages:
                if if_exists == "fail":
                    raise PackageGroupExistsError(
                        f"{where} exists already ({judge(found)}) and if_exists is 'fail': "
                        "use another name, or 'replace' or 'skip', or delete it first"
                    )
                there = judge(found, urls)
                if there.verdict is not Verdict.FAILED and ABSENT not in there.states.values():
                    self.log.info("Not uploaded, %s has: %s", where, ", ".join(urls))
                    return found
        self.log.info(
            "Uploading to %s of project %s: %s",
            where,
            self.project_id,
            ", ".join(urls.values()),
        )
        return self._run(flows.upload(self._client, call, group, tuple(urls)))
