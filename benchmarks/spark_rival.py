# SPDX-License-Identifier: Apache-2.0
"""Runs another provider's Spark operator for `spark_batch.py`, in a process of its own.

That has Airflow 2.11, as the provider wants it. It reads orders as JSON, one a line, and answers
each with the verdict of a task that was tried as often as the order says. Imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RIVAL = "apache-airflow-providers-huawei"
REGION = "eu-west-101"
POLL_INTERVAL = 0.1

Fields = dict[str, Any]


class KilledError(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@dataclass
class Task:
    """A task instance that something may befall: at its `nth` moment, from 0 on."""

    order: Fields
    struck: bool = False
    seen: int = 0

    def moment(self, *places: str) -> None:
        """Note that the worker has come this far."""
        if self.order["place"] not in places:
            return
        self.seen += 1
        if self.seen == self.order["nth"] + 1:
            self.struck = True
            if self.order["place"] == "worker":
                raise KilledError
            raise ConnectionError("no answer of Airflow")

    def xcom_push(self, key: str, value: object) -> None:
        """Keep a value, which nobody reads."""
        self.moment("XCom", "worker")
        json.dumps({key: value})
        self.moment("worker")

    def led(self) -> Fields:
        """Try as often as Airflow would."""
        for number in range(1, self.order["retries"] + 2):
            try:
                self._tried()
            except (Exception, KilledError) as error:
                print(f"try {number}: {type(error).__name__}: {error}"[:300], file=sys.stderr)
            else:
                return {"verdict": True, "tries": number, "struck": self.struck}
        return {"verdict": False, "tries": number, "struck": self.struck}

    def _tried(self) -> None:
        from airflow.exceptions import TaskDeferred

        self.moment("worker")
        try:
            _operator().execute({"ti": self})
        except TaskDeferred as left:
            event = asyncio.run(self._event(left.trigger))
            self.moment("worker")
            getattr(_operator(), left.method_name)({"ti": self}, event=event)
            self.moment("worker")

    async def _event(self, trigger: Any) -> Fields:
        waiting = asyncio.ensure_future(_payload(trigger))
        if self.order["place"] == "triggerer" and not self.struck:
            _, pending = await asyncio.wait([waiting], timeout=self.order["seconds"])
            if pending:
                self.struck = True
                waiting.cancel()
                await asyncio.wait([waiting])
                return await _payload(trigger)
        return await waiting


async def _payload(trigger: Any) -> Fields:
    # As a triggerer makes it of its row.
    again = type(trigger)(**json.loads(json.dumps(trigger.serialize()[1])))
    (event,) = [event async for event in again.run()]
    return dict(event.payload)


def _operator() -> Any:
    """Returns the task as a new process has it, in the mode in which it waits."""
    module = importlib.import_module("airflow.providers.huawei.cloud.operators.dli")
    return module.DLISparkCreateBatchJobOperator(
        task_id="run",
        name="run",
        file="obs://bucket/application.jar",
        class_name="org.example.Application",
        queue_name="queue",
        spark_version="3.3.1",
        deferrable=True,
        poll_interval=POLL_INTERVAL,
    )


@contextmanager
def rival(python: str, origin: str, connection: Fields) -> Iterator[Callable[[Fields], Fields]]:
    """Run the other provider in a process of its own, and give what orders a task of it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
    with tempfile.TemporaryDirectory() as home, (Path(home) / "log").open("w") as log:
        environment |= {
            "HOME": home,  # the vendor's SDK notes an id there
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",  # operators may be executed directly
            # The vendor's SDK takes the address of a region from here.
            f"HUAWEICLOUD_SDK_REGION_DLI_{REGION.replace('-', '_').upper()}": origin,
            "AIRFLOW_CONN_HUAWEICLOUD_DEFAULT": json.dumps(
                connection | {"conn_type": "huaweicloud"}
            ),
        }
        with subprocess.Popen(
            [python, str(Path(__file__).with_name("spark_rival.py"))],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
        ) as process:
            orders, answers = process.stdin, process.stdout
            assert orders is not None
            assert answers is not None

            def ask(order: Fields) -> Fields:
                print(json.dumps(order), file=orders, flush=True)
                answer = answers.readline()
                if not answer:
                    raise RuntimeError((Path(home) / "log").read_text(encoding="utf-8")[-3000:])
                return dict(json.loads(answer))

            yield ask


def version(python: str) -> str:
    """Returns the version of the provider that this Python has."""
    code = f"from importlib.metadata import version; print(version({RIVAL!r}))"
    done = subprocess.run(
        [python, "-c", code], check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    return done.stdout.strip()


def main() -> None:
    """Answer orders until there are no more."""
    # Airflow logs to standard output.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(Task(json.loads(line)).led()), file=answers, flush=True)


if __name__ == "__main__":
    main()
