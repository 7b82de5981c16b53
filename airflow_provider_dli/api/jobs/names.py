# SPDX-License-Identifier: Apache-2.0
"""The name of a task's job: the same in each try, another one after a clear.

DLI accepts no token that makes a submission safe to repeat, so a job is found by its name when it
is unknown whether it was submitted.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

LONGEST = 128
"""https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0124.html"""

CONF = "spark.airflow."
"""The prefix of the entries in a job's `conf` that name its task instance."""

BATCH_ID = "batch_id"
"""The key of the XCom value with the id of a task's job, pushed at the submission."""

_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Owner:
    """The task instance that a job belongs to.

    `generation` is its `max_tries`: a retry does not change it, a user's clear raises it.
    `retries` is the number of retries in one generation. `label` is the beginning of the job's
    name.
    """

    label: str
    dag_id: str
    task_id: str
    run_id: str = ""
    map_index: int = -1
    try_number: int = 1
    generation: int = 0
    retries: int = 0

    @property
    def is_first_try(self) -> bool:
        """Whether this generation cannot have submitted a job before.

        If `retries` was changed in between, a first try may count as a later one. That only looks
        for a job that does not exist; the opposite would miss one that does.
        """
        return self.try_number in {1, self.generation - self.retries + 1}

    @property
    def may_try_again(self) -> bool:
        """Whether a retry follows if this try fails."""
        return self.try_number <= self.generation

    @property
    def name(self) -> str:
        """The name of its job."""
        return self._name(self.generation)

    @property
    def earlier_names(self) -> tuple[str, ...]:
        """The names that jobs of earlier generations may have, the latest first.

        Empty if the task was not cleared. A clear raises the generation by the number of tries, so
        most of these names were never used; `retries` may have been different, so none is left out.
        """
        if self.generation <= self.retries:
            return ()
        return tuple(map(self._name, range(self.generation - 1, -1, -1)))

    @property
    def conf(self) -> dict[str, str]:
        """The entries of the job's `conf` that name its task instance."""
        return {
            f"{CONF}dag_id": self.dag_id,
            f"{CONF}task_id": self.task_id,
            f"{CONF}run_id": self.run_id,
            f"{CONF}map_index": str(self.map_index),
            f"{CONF}try_number": str(self.try_number),
            f"{CONF}generation": str(self.generation),
        }

    def _name(self, generation: int) -> str:
        whole: list[Any] = [self.label, self.dag_id, self.task_id, self.run_id, self.map_index]
        text = json.dumps([*whole, generation])
        digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
        readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.label)[: LONGEST - _DIGITS - 1]
        return f"{readable}-{digest}"
