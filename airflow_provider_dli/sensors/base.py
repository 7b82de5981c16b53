# SPDX-License-Identifier: Apache-2.0
"""What the sensors share: one wait, in the worker or in the triggerer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, TypeVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_dli.api import checks
from airflow_provider_dli.operators.base import DliTask, TimeLimits
from airflow_provider_dli.triggers.outcomes import End, Outcome, end_of, outcome_of_error, raised

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_dli.api.protocol.wait import Subscriber
    from airflow_provider_dli.api.protocol.wire import Call
    from airflow_provider_dli.hooks.dli import DliHook

F = TypeVar("F")


class WaitSensor(DliTask, BaseSensorOperator, Generic[F]):
    """A sensor that waits in the worker, or in the triggerer when it is ``deferrable``.

    It ends in the same way in all modes, see ``triggers/outcomes.py``. In ``reschedule`` mode each
    poke is a process of its own, and Airflow keeps nothing from one to the next but the time of the
    first. So a poke without a usable answer does not give its slot back: it polls again until it
    has one, for ``max_unknown_time`` at most. Every poke that was rescheduled had a good answer.

    :meta private:
    """

    switches: ClassVar[tuple[str, ...]] = ("deferrable",)
    """The arguments that are true or false."""

    def __init__(self, *, max_unknown_time: float, deferrable: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_unknown_time = max_unknown_time
        self.deferrable = deferrable
        self._first_poke: float | None = None
        self._wait: Subscriber[Any, F] | None = None

    def execute(self, context: Context) -> Any:
        """Waits in the worker, or polls once and waits on in the triggerer."""
        self._wait = None
        with self._outcomes():
            self._check()
            now = self.hook.now()
        if not self.deferrable:
            return self._wait_here(context, now)
        limits = TimeLimits(self.execution_timeout, self.timeout, now=now, started=now)
        answer = self.poke(context)
        if answer:
            return answer.xcom_value
        arguments = {
            **self.connection_arguments,
            **limits.trigger_arguments,
            "poll_interval": self.poke_interval,
            "max_unknown_time": self.max_unknown_time,
            "looked": self._current_wait().looked,
            "silent_fail": self.silent_fail,
        }
        self.defer(
            trigger=self._trigger(arguments),
            method_name="execute_complete",
            timeout=limits.backstop,
        )
        return None  # `defer` raises

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Resumes after the wait: returns the XCom value, or raises what the worker would have."""
        try:
            return self._complete(event)
        except (Exception, AirflowTaskTimeout) as error:
            self._end(error, outcome_of_error(error))

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """Resumes after the wait, without what Airflow's sensors make of an exception."""
        if next_method != "__fail__":
            return super(BaseSensorOperator, self).resume_execution(
                next_method, next_kwargs, context
            )
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            # No event came. Before 3.3 Airflow does not tell a timeout from a failure of a trigger.
            outcome = outcome_of_error(error)
            self._end(error, Outcome.NO_EVENT if outcome is Outcome.ERROR else outcome)

    def poke(self, context: Context) -> PokeReturnValue:
        """Polls once; in ``reschedule`` mode, until there is a usable answer."""
        with self._outcomes(), self.hook as hook:
            wait = self._current_wait()
            while True:
                wait.project = hook.account.project
                found = hook.look_for(wait, self._call())
                if found is not None:
                    return PokeReturnValue(True, self._result(hook, found))
                if self.deferrable or not self.reschedule or not wait.is_open:
                    return PokeReturnValue(False)
                now = hook.now()
                hook.sleep(wait.next_look(now) - now)
        # After an error that silent_fail hides, the timeout still holds.
        with self._outcomes():
            self._current_wait().expire(self.hook.now())
        return PokeReturnValue(False)

    def _wait_here(self, context: Context, began: float) -> Any:
        """Pokes until it is done, or leaves the rest to a later process in ``reschedule`` mode."""
        if self.reschedule:
            self._first_poke = first_poke(context)
            began = self._first_poke or began
        pokes = 0
        while not (answer := self.poke(context)):
            pokes += 1
            pause = self._pause(began, pokes)
            if self.reschedule:
                raise _rescheduled(pause)
            with self._outcomes():
                self.hook.sleep(pause)
        return answer.xcom_value

    def _pause(self, began: float, pokes: int) -> float:
        """Returns the seconds until the next poke. The last poke is at the deadline."""
        now, started = self.hook.now(), datetime.fromtimestamp(began, UTC)
        pause = self._get_next_poke_interval(started, lambda: self.hook.now() - began, pokes)
        deadline = self._current_wait().deadline
        return float(pause) if deadline is None else max(min(pause, deadline - now), 0.0)

    def _current_wait(self) -> Subscriber[Any, F]:
        if self._wait is None:
            began = self.hook.now() if self._first_poke is None else self._first_poke
            # While the task is deferred, the trigger keeps the deadline.
            self._wait = self._begin(None if self.deferrable else began + self.timeout)
            self._wait.looked = self._first_poke is not None
        return self._wait

    @contextmanager
    def _outcomes(self) -> Iterator[None]:
        """Ends the task as the table of outcomes says for an error, or logs the error."""
        try:
            yield
        except AirflowSkipException:
            raise
        except (Exception, AirflowTaskTimeout) as error:
            outcome = outcome_of_error(error)
            if end_of(outcome, self) is not End.GO_ON:
                self._end(error, outcome)
            self.log.error("The wait continues, because silent_fail is set: %s", error)

    def _end(self, error: BaseException, outcome: Outcome) -> NoReturn:
        ending = raised(error, outcome, self)
        if ending is error:
            raise error
        raise ending from error

    def _check(self) -> None:
        """Raises `InputError` for a wrong argument, before any request is sent."""
        for field in self.switches:
            checks.boolean(field, getattr(self, field))
        checks.seconds("max_unknown_time", self.max_unknown_time)
        if self.deferrable:
            checks.seconds("poke_interval", self.poke_interval)
            checks.seconds("timeout", self.timeout)
        self._call()

    @abstractmethod
    def _call(self) -> Call[F | None]:
        """Returns the call of one poll; raises `InputError` for a wrong argument."""

    @abstractmethod
    def _begin(self, deadline: float | None) -> Subscriber[Any, F]:
        """Returns the wait."""

    @abstractmethod
    def _result(self, hook: DliHook, found: F) -> dict[str, Any]:
        """Returns the XCom value, or raises the error of what ended without success."""

    @abstractmethod
    def _trigger(self, arguments: Mapping[str, Any]) -> BaseTrigger:
        """Returns the trigger that waits for the same, with the arguments that all waits share."""

    @abstractmethod
    def _complete(self, event: dict[str, Any]) -> dict[str, Any]:
        """Returns the XCom value of the trigger's event, or raises the error in it."""


def first_poke(context: Context) -> float | None:
    """Returns the Unix time of the first poke that was rescheduled; `None` if this is the first."""
    ti: Any = context["ti"]
    if hasattr(ti, "get_first_reschedule_date"):
        date = ti.get_first_reschedule_date(context)
    else:
        # Airflow 2 reads it from its database.
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
