# SPDX-License-Identifier: Apache-2.0
"""What the sensors share: one wait, whether it takes place in the worker or in the triggerer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, TypeVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_dli.operators.base import DliHookMixin
from airflow_provider_dli.operators.deferral import TimeLimits
from airflow_provider_dli.sensors.outcomes import End, Outcome, end_of, outcome_of_error, raised

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_dli.api.protocol.wait import Subscriber
    from airflow_provider_dli.api.protocol.wire import Call
    from airflow_provider_dli.hooks.dli import DliHook

F = TypeVar("F")


class WaitSensor(DliHookMixin, BaseSensorOperator, Generic[F]):
    """A sensor that waits in the worker, or in the triggerer when it is ``deferrable``.

    It ends in the same way in all modes, see ``sensors/outcomes.py``. In ``reschedule`` mode each
    poke is a process of its own and Airflow keeps nothing from one to the next but the time of the
    first. So a poke that cannot tell how it is gives its slot back only when a look can: the slot
    is held for ``max_unknown_time`` at most, and every poke that was rescheduled had a good look.

    :meta private:
    """

    switches: ClassVar[tuple[str, ...]] = ("deferrable",)
    """The fields that are true or false."""
    deferrable: bool
    max_unknown_time: float
    _first_poke: float | None = None

    def execute(self, context: Context) -> Any:
        """Wait in the worker, or look once and go on waiting in the triggerer."""
        self.__dict__.pop("_wait", None)
        with self._outcomes():
            self._check()
        if not self.deferrable:
            return self._wait_here(context)
        limits = TimeLimits(self, self.timeout)
        looked = self.poke(context)
        if looked:
            return looked.xcom_value
        self.defer(
            trigger=self._trigger(limits, looked=self._wait.looked),
            method_name="execute_complete",
            timeout=limits.backstop,
        )
        return None  # `defer` raises

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after the wait: returns what XCom keeps, or raises as the worker would have."""
        try:
            return self._complete(event)
        except (Exception, AirflowTaskTimeout) as error:
            self._end(error, outcome_of_error(error))

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """Go on after the wait, past what Airflow's sensors make of an exception themselves."""
        if next_method != "__fail__":
            return super(BaseSensorOperator, self).resume_execution(
                next_method, next_kwargs, context
            )
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            # No event came. Airflow before 3.3 does not tell a timeout from a trigger that broke.
            outcome = outcome_of_error(error)
            self._end(error, Outcome.NO_EVENT if outcome is Outcome.ERROR else outcome)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once; in ``reschedule`` mode, until a look tells how it is."""
        with self._outcomes(), self.hook as hook:
            while True:
                found = self._look(hook)
                if found is not None:
                    return PokeReturnValue(True, self._result(hook, found))
                if self.deferrable or not self.reschedule or not self._wait.is_open:
                    return PokeReturnValue(False)
                now = hook.now()
                hook.sleep(self._wait.next_look(now) - now)
        # An error that silent_fail bears does not keep the wait from its end.
        with self._outcomes():
            self._wait.expire(self.hook.now())
        return PokeReturnValue(False)

    def _wait_here(self, context: Context) -> Any:
        """Poke until it is done, or leave the rest to a later process in ``reschedule`` mode."""
        began = self.hook.now()
        if self.reschedule:
            self._first_poke = first_poke(context)
            began = self._first_poke or began
        pokes = 0
        while not (looked := self.poke(context)):
            pokes += 1
            pause = self._pause(began, pokes)
            if self.reschedule:
                raise _rescheduled(pause)
            with self._outcomes():
                self.hook.sleep(pause)
        return looked.xcom_value

    def _pause(self, began: float, pokes: int) -> float:
        """Returns the seconds until the next poke, of which there is one at the deadline."""
        now, started = self.hook.now(), datetime.fromtimestamp(began, UTC)
        pause = self._get_next_poke_interval(started, lambda: self.hook.now() - began, pokes)
        deadline = self._wait.deadline
        return float(pause) if deadline is None else max(min(pause, deadline - now), 0.0)

    def _look(self, hook: DliHook) -> F | None:
        self._wait.project = hook.account.project
        return hook.look_for(self._wait, self._call())

    @cached_property
    def _wait(self) -> Subscriber[Any, F]:
        # While it is deferred, the deadline is the trigger's.
        began = self.hook.now() if self._first_poke is None else self._first_poke
        wait = self._begin(None if self.deferrable else began + self.timeout)
        wait.looked = self._first_poke is not None
        return wait

    @contextmanager
    def _outcomes(self) -> Iterator[None]:
        """Make of every error what the table says, which may be nothing."""
        try:
            yield
        except AirflowSkipException:
            raise
        except (Exception, AirflowTaskTimeout) as error:
            outcome = outcome_of_error(error)
            if end_of(outcome, self) is not End.GO_ON:
                self._end(error, outcome)
            self.log.error("The wait goes on, since silent_fail is set: %s", error)

    def _end(self, error: BaseException, outcome: Outcome) -> NoReturn:
        ending = raised(error, outcome, self)
        if ending is error:
            raise error
        raise ending from error

    def _check(self) -> None:
        """Refuse wrong arguments before any request."""
        from airflow_provider_dli.api import checks

        for field in self.switches:
            checks.boolean(field, getattr(self, field))
        checks.seconds("max_unknown_time", self.max_unknown_time)
        if self.deferrable:
            checks.seconds("poke_interval", self.poke_interval)
            checks.seconds("timeout", self.timeout)
        self._call()

    @abstractmethod
    def _call(self) -> Call[F | None]:
        """Returns the call of one look; raises `InputError` for a wrong argument."""

    @abstractmethod
    def _begin(self, deadline: float | None) -> Subscriber[Any, F]:
        """Returns the wait."""

    @abstractmethod
    def _result(self, hook: DliHook, found: F) -> dict[str, Any]:
        """Returns what XCom keeps, or raises for what ended without success."""

    @abstractmethod
    def _trigger(self, limits: TimeLimits, *, looked: bool) -> BaseTrigger:
        """Returns the trigger that waits for the same; `looked`: the worker had a good look."""

    @abstractmethod
    def _complete(self, event: dict[str, Any]) -> dict[str, Any]:
        """Returns what XCom keeps of the trigger's event, or raises what it says went wrong."""


def first_poke(context: Context) -> float | None:
    """Returns the Unix time of the first poke that was rescheduled, `None` when this is it."""
    ti: Any = context["ti"]
    if hasattr(ti, "get_first_reschedule_date"):
        date = ti.get_first_reschedule_date(context)
    else:
        # Airflow 2 asks its database itself.
        from airflow.sensors.base import (  # type: ignore[import-not-found]  # not in Airflow 3
            _orig_start_date,
        )

        number = (ti.max_tries or 0) - (ti.task.retries or 0) + 1
        date = _orig_start_date(ti.dag_id, ti.task_id, ti.run_id, ti.map_index, number)
    return None if date is None else float(date.timestamp())


def _rescheduled(seconds: float) -> Exception:
    try:
        from airflow.sdk.exceptions import AirflowRescheduleException
    except ImportError:  # before Airflow 3.2
        from airflow.exceptions import AirflowRescheduleException
    when = datetime.now(UTC) + timedelta(seconds=seconds)
    error: Exception = AirflowRescheduleException(when)  # type: ignore[no-untyped-call]  # Airflow's
    return error
