# SPDX-License-Identifier: Apache-2.0
"""Triggers for package groups: one waits for a task, one watches a group for an asset."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import TriggerEvent

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.protocol.errors import AuthenticationError, InputError
from airflow_provider_dli.transport.clock import steady
from airflow_provider_dli.triggers.base import DliTrigger, WaitTrigger, load_modules
from airflow_provider_dli.triggers.events import ready_event
from airflow_provider_dli.triggers.task_log import task_log

if TYPE_CHECKING:
    from airflow_provider_dli.api.access.account import Account
    from airflow_provider_dli.api.packages.wait import GroupUpdates

DELIVERY = 5.0
"""Seconds after which Airflow has stored an event: it asks for new ones every second."""


class PackageGroupTrigger(WaitTrigger):
    """Waits until packages are READY; all waits of a triggerer on one account share each listing.

    It owns nothing at DLI, so killing it leaves DLI untouched. It yields one event: a dictionary
    with ``status`` ``ready`` and ``states``, or ``failed`` with the error.

    :param group: name of the group; ``None`` for packages that belong to no group
    :param packages: names of the packages; ``None`` for all that the group has
    :param kind: list packages of this kind only
    :param dli_conn_id: connection of type ``dli``
    :param region: overrides the connection's region
    :param project_id: overrides the connection's project id
    :param poll_interval: seconds between two looks; the first ones come sooner
    :param deadline: Unix seconds at which the wait ends; survives a restart of the triggerer
    :param max_unknown_time: seconds for which the listing may be unavailable, an accepted package
        be absent, or a state be unknown
    :param limit: where the deadline comes from, ``timeout`` or ``execution_timeout``; repeated in
        the event, since ``dag.test()`` keeps nothing of a task when it defers
    :param accepted: DLI accepted an upload of ``packages``, so they may not stay absent
    :param looked: the worker had an answer of DLI before, so that an error which would otherwise
        fail the first look is waited out
    :param silent_fail: continue after an error that a poking sensor with ``silent_fail`` ignores
    """

    group: str | None = None
    packages: Sequence[str] | None = None
    kind: str | None = None
    accepted: bool = False

    async def _wait(self, now: Callable[[], float]) -> dict[str, Any]:
        from airflow_provider_dli.api.packages.wait import GroupWait
        from airflow_provider_dli.hooks.progress import GroupProgress
        from airflow_provider_dli.triggerer import sharing
        from airflow_provider_dli.triggers.account import wait_on_account

        if self.group is None and not self.packages:
            raise InputError("group", None, "name a group, packages, or both")
        kind = checks.optional_kind(self.kind)
        progress = GroupProgress(task_log, now)
        wait = GroupWait(
            None if self.group is None else checks.stored_name("group", self.group),
            None if self.packages is None else checks.package_names(self.packages),
            accepted=self.accepted is not None and checks.boolean("accepted", self.accepted),
            observe=progress,
            trouble=progress.trouble,
            **self._wait_arguments(),
        )

        async def watch(account: Account) -> None:
            wait.project = account.project
            await sharing.watch_group(account, wait, kind=kind, now=now)

        await wait_on_account(self, watch, wait, now)
        return ready_event(wait.readiness.states)


class PackageGroupUpdatedTrigger(DliTrigger, BaseEventTrigger):
    """Yields an event each time a package group becomes READY anew; for an ``AssetWatcher``.

    Anew means that the ``update_time`` of the group or of a package is later than before. A group
    that is READY when the watch begins yields no event. On Airflow 3.3 the time is stored in the
    asset's state, so that an update while no triggerer runs is noticed later; before 3.3 it is not.
    It is stored some seconds after the event: a triggerer that ends in between repeats the event.

    .. code-block:: python

        ready = Asset(
            "word-count-python",
            watchers=[
                AssetWatcher(
                    name="ready",
                    trigger=PackageGroupUpdatedTrigger(group="word-count-python"),
                )
            ],
        )

    :param group: name of the group
    :param packages: names of the packages that have to be READY; ``None`` for all
    :param kind: list packages of this kind only
    :param dli_conn_id: connection of type ``dli``
    :param region: overrides the connection's region
    :param project_id: overrides the connection's project id
    :param poll_interval: seconds between two looks
    """

    group: str | None = None
    packages: Sequence[str] | None = None
    kind: str | None = None
    # Without an annotation: the field keeps its place in the row.
    poll_interval = 60.0

    delivery: ClassVar[float] = DELIVERY

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields an event for each update, without end."""
        await load_modules()
        from airflow_provider_dli.triggerer import sharing
        from airflow_provider_dli.triggers.account import ConnectionWait, with_account

        self._warn_of_unknown_fields()
        now = steady()
        updates = self._updates(now)
        updates.last = await self._stored_time()
        kind = checks.optional_kind(self.kind)

        async def watch(account: Account) -> None:
            await sharing.watch_group(account, updates, kind=kind, now=now)

        while True:
            connecting = ConnectionWait(
                poll_interval=updates.poll_interval,
                max_unknown_time=math.inf,
                trouble=updates.trouble,
            )
            try:
                await with_account(self, watch, connecting, now)
            except AuthenticationError:
                # The watch has no end, and somebody will correct the connection.
                await sharing.pause(updates.poll_interval)
                continue
            payload = {
                "group": self.group,
                "update_time": updates.last,
                "states": dict(updates.states),
            }
            yield TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow does not type it
            # Airflow has the event now, but stores it some seconds later. A triggerer that ends
            # before repeats it: twice rather than never.
            await sharing.pause(self.delivery)
            await self._store_time(updates.last)

    def _updates(self, now: Callable[[], float]) -> GroupUpdates:
        from airflow_provider_dli.api.packages.wait import GroupUpdates
        from airflow_provider_dli.hooks.progress import GroupProgress

        storing: set[asyncio.Task[None]] = set()

        def began(update_time: int) -> None:
            task = asyncio.get_running_loop().create_task(self._store_time(update_time))
            storing.add(task)
            task.add_done_callback(storing.discard)

        return GroupUpdates(
            checks.stored_name("group", self.group),
            None if self.packages is None else checks.package_names(self.packages),
            checks.seconds("poll_interval", self.poll_interval),
            trouble=GroupProgress(task_log, now).trouble,
            began=began,
        )

    async def _stored_time(self) -> int | None:
        store = getattr(self, "asset_state_store", None)
        try:
            value = await store.aget(self._key) if store else None
        except ValueError:
            return None  # the trigger of several assets has no state of its own
        return value if isinstance(value, int) else None

    async def _store_time(self, update_time: int | None) -> None:
        store = getattr(self, "asset_state_store", None)
        if not store or update_time is None:
            return
        try:
            await store.aset(self._key, update_time)
        except ValueError:
            return  # the trigger of several assets has no state of its own
        except Exception as error:
            # At worst the next watch repeats an event.
            kind = type(error).__name__
            task_log.warning("Could not store the update time of %s: %s", self.group, kind)

    @property
    def _key(self) -> str:
        return f"dli-update-time-{self.group}"
