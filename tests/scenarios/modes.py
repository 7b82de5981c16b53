"""One wait, in the worker or in the triggerer, as Airflow leads it through both."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator, TaskDeferred
from airflow.triggers.base import BaseTrigger
from eventually import HANG, eventually
from fake_clock import FakeClock
from task_runs import TaskRun, context

from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.operators.packages import UploadPackageGroupOperator
from airflow_provider_dli.operators.spark import SparkBatchOperator

PATHS = ["obs://bucket/jars/a.jar", "obs://bucket/jars/b.jar"]


def plain(value: Any) -> Any:
    """Returns what is left of a value on its way through the database."""
    return json.loads(json.dumps(value))


def again(trigger: BaseTrigger) -> Any:
    """Returns the trigger as a triggerer makes it of its row."""
    path, fields = trigger.serialize()
    module, name = path.rsplit(".", 1)
    return getattr(import_module(module), name)(**plain(fields))


async def events(trigger: BaseTrigger) -> list[dict[str, Any]]:
    """Run a trigger to its end and give its events."""
    async with asyncio.timeout(HANG):
        return [plain(event.payload) async for event in trigger.run()]


def once(due: Callable[[], object], act: Callable[[], object]) -> Callable[[], bool]:
    """Returns what acts as soon as it is due, each time it is asked; and whether it has."""
    done: list[object] = []

    def look() -> bool:
        if not done and due():
            done.append(act())
        return bool(done)

    return look


def event(trigger: BaseTrigger, meanwhile: Callable[[], bool] = lambda: True) -> dict[str, Any]:
    """Run a trigger on a loop of its own and give its one event; `meanwhile` is of `once`."""

    async def both() -> list[dict[str, Any]]:
        waiting = asyncio.ensure_future(events(trigger))
        await eventually(lambda: meanwhile() or waiting.done())
        return await waiting

    (only,) = asyncio.run(both())
    return only


def deferred(operator: BaseOperator, run: TaskRun | None = None) -> TaskDeferred:
    """Execute a task that has to wait in the triggerer."""
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(_context(run))
    return caught.value


def resume(
    operator: BaseOperator, left: TaskDeferred, payload: dict[str, Any], run: TaskRun | None = None
) -> Any:
    """Go on with a task in the worker, after its event."""
    return operator.resume_execution(
        left.method_name, {**plain(left.kwargs or {}), "event": payload}, _context(run)
    )


def _context(run: TaskRun | None) -> Any:
    return {} if run is None else context(run)


@dataclass
class Eventful:
    """The clock of a worker, while whose time passes something happens."""

    clock: FakeClock
    meanwhile: Callable[[], bool]

    def now(self) -> float:
        return self.clock.now()

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.meanwhile()


@dataclass
class Mode:
    """Where a wait takes place. In the worker its time is a fake; in the triggerer it is short."""

    name: str
    clock: FakeClock | None

    @property
    def now(self) -> Callable[[], float]:
        return self.clock.now if self.clock else time.time

    def seconds(self, seconds: float) -> float:
        """Returns the seconds, a hundredth of them in the triggerer, where they are real."""
        return seconds if self.clock else seconds / 100

    def upload(self, **arguments: Any) -> UploadPackageGroupOperator:
        """Returns a task that uploads two packages and waits for them."""
        defaults = {
            "task_id": "stage",
            "paths": PATHS,
            "group": "g",
            "kind": "jar",
            "poll_interval": self.seconds(10),
            "timeout": self.seconds(600),
        }
        return UploadPackageGroupOperator(
            **defaults | arguments, deferrable=self.name == "triggerer"
        )

    def spark(self, **arguments: Any) -> SparkBatchOperator:
        """Returns a task that runs a job and waits for its end."""
        defaults = {
            "task_id": "run",
            "file": "obs://bucket/application.py",
            "queue_name": "queue",
            "spark_version": "3.3.1",
            "execution_agency_urn": "agency",
            "poll_interval": self.seconds(10),
            "timeout": self.seconds(3600),
        }
        return SparkBatchOperator(**defaults | arguments, deferrable=self.name == "triggerer")

    def run(
        self,
        operator: Any,
        meanwhile: Callable[[], bool] = lambda: True,
        run: TaskRun | None = None,
    ) -> Any:
        """Run a task from its beginning to its end, wherever it waits; `meanwhile` is of `once`."""
        if self.clock is not None:
            operator.hook = DliHook(
                operator.dli_conn_id,
                region=operator.region,
                project_id=operator.project_id,
                clock=Eventful(self.clock, meanwhile),
            )
            return operator.execute(_context(run))
        later = deepcopy(operator)  # what goes on is made anew, and knows nothing
        left = deferred(operator, run)
        return resume(later, left, event(again(left.trigger), meanwhile), run)
