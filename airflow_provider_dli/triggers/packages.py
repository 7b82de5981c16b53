# SPDX-License-Identifier: Apache-2.0
"""Triggers for package groups: one waits for a task, one watches for an asset."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import BaseTrigger

from airflow_provider_dli.api.protocol.errors import AuthenticationError, DliError, InputError
from airflow_provider_dli.api.protocol.wait import MAX_UNKNOWN_TIME, Wait
from airflow_provider_dli.transport.clock import steady
from airflow_provider_dli.triggers.base import (
    ConnectionWait,
    DliTrigger,
    TaskLog,
    event_of,
    loaded,
    task_log,
)

if TYPE_CHECKING:
    from airflow.triggers.base import TriggerEvent

    from airflow_provider_dli.api.access.account import Account
    from airflow_provider_dli.api.packages.models import PackageGroup
    from airflow_provider_dli.api.packages.wait import GroupUpdates, GroupWait
    from airflow_provider_dli.triggerer.subscribers import Subscriber


DELIVERY = 5.0
"""Seconds after which Airflow has stored an event: it asks for new ones once in a second."""


class _GroupFields(DliTrigger):
    """The fields of both, and how to watch the group."""

    group: Any
    packages: Any
    kind: Any
    poll_interval: Any

    async def _until(
        self,
        watcher: Subscriber[str | None, PackageGroup],
        connecting: Wait,
        now: Callable[[], float],
    ) -> None:
        async def watch(account: Account) -> None:
            from airflow_provider_dli.api.packages.wait import GroupWait
            from airflow_provider_dli.triggerer import sharing

            if isinstance(watcher, GroupWait):
                watcher.project = account.project
            await sharing.watch_group(account, watcher, kind=self._kind(), now=now)

        await self.on_account(watch, connecting, now)

    def _names(self) -> tuple[str, ...] | None:
        from airflow_provider_dli.api import checks

        return None if self.packages is None else checks.package_names(self.packages)

    def _kind(self) -> str | None:
        from airflow_provider_dli.api import checks

        return checks.optional_kind(self.kind)


class PackageGroupTrigger(_GroupFields, BaseTrigger):
    """Wait until packages are READY; all waits of a triggerer on one account share each listing.

    It owns nothing at DLI, so killing it leaves DLI untouched. It gives one event: a dictionary
    with ``status`` ``ready`` and ``states``, or ``failed`` with what
    `restored` makes an error of.

    :param group: name of the group; ``None`` for packages that belong to no group
    :param packages: names of the packages; ``None`` for all that the group has
    :param kind: ask the service for packages of this kind only
    :param dli_conn_id: connection of type ``dli``
    :param region: wins over the connection's region
    :param project_id: wins over the connection's project id
    :param poll_interval: seconds between two looks; the first ones come sooner
    :param deadline: Unix seconds at which the wait ends; survives a restart of the triggerer
    :param max_unknown_time: seconds for which the listing may be out of reach, an accepted package
        be absent, or a state be a word that nobody knows
    :param limit: what the deadline comes from, ``timeout`` or ``execution_timeout``; goes into the
        event, since ``dag.test()`` forgets what a task keeps for itself when it defers
    :param accepted: DLI took an upload of ``packages``, so they may not stay absent
    :param looked: the worker had a good answer of DLI before, so that an error which would fail
        the first look at once is waited out
    :param silent_fail: go on after an error that a poking sensor with ``silent_fail`` bears
    """

    fields: ClassVar[dict[str, Any]] = {
        "group": None,
        "packages": None,
        "kind": None,
        "dli_conn_id": "dli_default",
        "region": None,
        "project_id": None,
        "poll_interval": 10.0,
        "deadline": None,
        "max_unknown_time": MAX_UNKNOWN_TIME,
        "accepted": False,
        "limit": "timeout",
        "looked": False,
        "silent_fail": False,
    }
    deadline: Any
    max_unknown_time: Any
    accepted: Any
    limit: Any
    looked: Any

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Give the one event."""
        await loaded()
        now = steady()
        try:
            wait = self._wait(now)
            await self._in_spite_of_errors(partial(self._until, wait, wait, now), wait, now)
        except DliError as error:
            await TaskLog.written()
            yield event_of({"status": "failed", "limit": self.limit, **error.as_dict()})
        else:
            await TaskLog.written()
            yield event_of({"status": "ready", "states": dict(wait.readiness.states)})

    def _wait(self, now: Callable[[], float]) -> GroupWait:
        from airflow_provider_dli.api import checks
        from airflow_provider_dli.api.packages.wait import GroupWait
        from airflow_provider_dli.hooks.progress import GroupProgress

        self.warn_of_unknown_fields()
        if self.group is None and not self.packages:
            raise InputError("group", None, "name a group, packages, or both")
        log = GroupProgress(task_log, now)
        return GroupWait(
            None if self.group is None else checks.stored_name("group", self.group),
            self._names(),
            deadline=None if self.deadline is None else checks.seconds("deadline", self.deadline),
            poll_interval=checks.seconds("poll_interval", self.poll_interval),
            max_unknown_time=checks.seconds("max_unknown_time", self.max_unknown_time),
            accepted=checks.boolean("accepted", self.accepted is not None and self.accepted),
            looked=bool(self.looked),
            observe=log,
            trouble=log.trouble,
        )


class PackageGroupUpdatedTrigger(_GroupFields, BaseEventTrigger):
    """Give an event each time a package group becomes READY anew; for an ``AssetWatcher``.

    Anew means that the ``update_time`` of the group or of a package moved. A group that is READY
    when the watch begins gives no event. On Airflow 3.3 the time is kept in the asset's state, so
    that what happens while no triggerer runs is noticed later; before 3.3 it is not. It is kept
    some seconds after the event, so a triggerer that ends in between gives the event once more.

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
    :param kind: ask the service for packages of this kind only
    :param dli_conn_id: connection of type ``dli``
    :param region: wins over the connection's region
    :param project_id: wins over the connection's project id
    :param poll_interval: seconds between two looks
    """

    fields: ClassVar[dict[str, Any]] = {
        "group": None,
        "packages": None,
        "kind": None,
        "dli_conn_id": "dli_default",
        "region": None,
        "project_id": None,
        "poll_interval": 60.0,
    }

    delivery: ClassVar[float] = DELIVERY

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Give an event for each update, for ever."""
        await loaded()
        from airflow_provider_dli.triggerer import sharing

        now = steady()
        update = self._update(now)
        update.last = await self._remembered()
        while True:
            connecting = ConnectionWait(
                poll_interval=update.poll_interval,
                max_unknown_time=math.inf,
                trouble=update.trouble,
            )
            try:
                await self._until(update, connecting, now)
            except AuthenticationError:
                # Somebody will mend the connection: a watch has no end.
                await sharing.pause(update.poll_interval)
                continue
            yield event_of(
                {"group": self.group, "update_time": update.last, "states": dict(update.states)}
            )
            # Airflow takes the event now, and stores it within some seconds. Who is killed before
            # gives it again: twice rather than never.
            await sharing.pause(self.delivery)
            await self._remember(update.last)

    def _update(self, now: Callable[[], float]) -> GroupUpdates:
        from airflow_provider_dli.api import checks
        from airflow_provider_dli.api.packages.wait import GroupUpdates
        from airflow_provider_dli.hooks.progress import GroupProgress

        saving: set[asyncio.Task[None]] = set()

        def began(update_time: int) -> None:
            task = asyncio.get_running_loop().create_task(self._remember(update_time))
            saving.add(task)
            task.add_done_callback(saving.discard)

        return GroupUpdates(
            checks.stored_name("group", self.group),
            self._names(),
            checks.seconds("poll_interval", self.poll_interval),
            trouble=GroupProgress(task_log, now).trouble,
            began=began,
        )

    async def _remembered(self) -> int | None:
        state = getattr(self, "asset_state_store", None)
        try:
            value = await state.aget(self._key) if state else None
        except ValueError:
            return None  # it watches several assets: there is no one state to keep it in
        return value if isinstance(value, int) else None

    async def _remember(self, update_time: int | None) -> None:
        state = getattr(self, "asset_state_store", None)
        if not state or update_time is None:
            return
        try:
            await state.aset(self._key, update_time)
        except ValueError:
            return  # it watches several assets
        except Exception as error:
            # The watch goes on: at worst its next one gives an event twice.
            task_log.warning(
                "The update of %s is not remembered: %s", self.group, type(error).__name__
            )

    @property
    def _key(self) -> str:
        return f"dli-update-time-{self.group}"
