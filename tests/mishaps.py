"""What may befall a task that runs a Spark job, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

ANSWERS: dict[str, dict[str, Any]] = {
    "reset": {"action": "reset"},
    "cut off": {"action": "cut-off"},
    "read timeout": {"action": "hang"},
    "429": {"action": "throttled"},
    "500": {"status": 500, "body": {"error_code": "APIGW.0203", "error_msg": "Backend error"}},
    "503": {"action": "unavailable"},
    "DLI.0999": {"action": "internal-error"},
    "200 with HTML": {"action": "html"},
}
"""What may come in place of an answer."""

_JOB = "????????-????-????-????-????????????"
CALLS = {
    "list": ("GET", "/batches", 1),
    "create": ("POST", "/batches", 1),
    "show": ("GET", f"/batches/{_JOB}", 2),
    "log": ("GET", "/batches/*/log", 1),
}
"""The calls of a task, and how many of each it makes at least."""

STORE, XCOM, WORKER, TRIGGERER = "state store", "XCom", "worker", "triggerer"
KINDS = (*ANSWERS, STORE, XCOM, WORKER, TRIGGERER)

_MOMENTS = {STORE: 1, XCOM: 5, WORKER: 40}
"""Of how many moments one is drawn; a task has a few more or less."""


class KilledError(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@dataclass(frozen=True)
class Mishap:
    """The one thing that goes wrong: at the `nth` call or moment, from 0 on.

    `place` is a call, `when` before or after the service carries it out; or it is the same as the
    kind. A triggerer is restarted after `seconds`.
    """

    kind: str
    place: str
    when: str = ""
    nth: int = 0
    seconds: float = 0.0


def drawn(random: Random, kinds: tuple[str, ...] = KINDS) -> Mishap:
    """Draw a mishap: each kind and each place is as likely as any other."""
    kind = random.choice(kinds)
    if kind == TRIGGERER:
        return Mishap(kind, kind, seconds=random.uniform(0, 1))
    if kind not in ANSWERS:
        return Mishap(kind, kind, nth=random.randrange(_MOMENTS[kind]))
    place = random.choice([*CALLS])
    # Who refuses a call for too many of them has not passed it on.
    when = "before" if kind == "429" else random.choice(["before", "after"])
    return Mishap(kind, place, when, random.randrange(CALLS[place][2]))


@dataclass
class Fate:
    """Strikes at one moment of the worker, if that is where the mishap belongs."""

    mishap: Mishap
    seen: int = 0
    struck: bool = False

    def moment(self, *places: str) -> None:
        """Pass one of these places in the worker; raises what goes wrong there."""
        if self.mishap.place not in places:
            return
        self.seen += 1
        if self.seen == self.mishap.nth + 1:
            self.struck = True
            if self.mishap.kind == WORKER:
                raise KilledError
            raise ConnectionError(f"no answer of Airflow: {self.mishap.kind}")
