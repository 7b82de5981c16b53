# SPDX-License-Identifier: Apache-2.0
"""The name of a job that belongs to a task: the same in each try, another one after a clear.

DLI takes no token that would make a submission safe to repeat, so the name is what a job is found
by when nobody can tell whether it was submitted.
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
"""What the names of the entries in a job's `conf` begin with that tell whose it is."""

BATCH_ID = "batch_id"
"""The key of the XCom value by which a task has the id of its job, from the submission on."""

_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Owner:
    """The task instance that a job belongs to.

    `generation` is its `max_tries`: a retry leaves that as it is, a user's clear raises it.
    `retries` is how often one generation may be tried again. `label` is what the name of its job
    begins with.
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

        Where somebody changed `retries` in between, a try is rather taken for a later one: that
        looks for a job that is not there, and the other would pass over one that is.
        """
        return self.try_number in {1, self.generation - self.retries + 1}

    @property
    def may_try_again(self) -> bool:
        """Whether a retry follows when this try fails."""
        return self.try_number <= self.generation

    @property
    def name(self) -> str:
        """The name of its job."""
        return self._name(self.generation)

    @property
    def earlier_names(self) -> tuple[str, ...]:
        """The names that jobs of earlier generations may have, the latest first.

        Empty when the task was not cleared. A clear raises the generation by the number of tries,
        so most of these names were never given; and `retries` may have been others then.
        """
        if self.generation <= self.retries:
            return ()
        return tuple(map(self._name, range(self.generation - 1, -1, -1)))

    @property
    def conf(self) -> dict[str, str]:
        """What the job tells of its owner, for who looks at it later."""
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
