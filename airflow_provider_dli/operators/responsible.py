# SPDX-License-Identifier: Apache-2.0
"""Who is responsible for a Spark job: it cancels the job or leaves it when its task is ended."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowTaskTimeout,
    BaseOperator,
)

from airflow_provider_dli.operators.base import DliHookMixin
from airflow_provider_dli.operators.job_owner import owner_of
from airflow_provider_dli.operators.retries import is_tried_again

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dli.api.jobs.names import Owner
    from airflow_provider_dli.hooks.dli import DliHook

Policy = Literal["cancel", "leave"]

ON_KILL_LIMIT = 4.0
"""Seconds for which `on_kill` may take: Airflow 3 kills the process after five."""

LAST_LOOK = 1.0
"""Seconds of these that are kept for a last look at the job."""

CONNECTION_LIMIT = 30.0
"""Seconds for which a task that has failed reads the connection again where that fails."""

ENDED = "The task was ended (it was marked or cleared, or its worker stopped)"


class ResponsibleOperator(DliHookMixin, BaseOperator):
    """An operator that answers for one Spark job, also when it is broken off.

    :meta private:
    """

    def __init__(
        self,
        *,
        on_timeout: Policy,
        on_kill: Policy,
        on_failure: Policy,
        dli_conn_id: str,
        region: str | None,
        project_id: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.timeout_policy = on_timeout
        # Not `on_kill`: that is the method which Airflow calls.
        self.kill_policy = on_kill
        self.failure_policy = on_failure
        self.dli_conn_id = dli_conn_id
        self.region = region
        self.project_id = project_id
        self.batch_id: str | None = None
        self._owner: Owner | None = None
        self._context: Context | None = None
        self._is_killed = self._is_settled = self._was_deferred = False
        self._cancelling: threading.Thread | None = None

    @property
    def job_label(self) -> str | None:
        """What the name of the job begins with; ``None`` for the ids of DAG and task."""
        raise NotImplementedError

    def earlier_names(self, owner: Owner) -> tuple[str, ...]:
        """Names of jobs from before a clear that count as this one."""
        raise NotImplementedError

    def check_alive(self, hook: DliHook) -> None:
        """Raise when `on_kill` was called: on Airflow 3 the task goes on after that."""
        from airflow_provider_dli.api.protocol.errors import DliError

        if not self._is_killed:
            return
        is_first = self._owner is None or self._owner.is_first_try
        if self.batch_id:
            # The job may have come of a submission that was under way meanwhile.
            trouble = self._give_up("cancel", hook)
            raise DliError(f"{ENDED}. {trouble}" if trouble else self.cancelled(self.batch_id))
        # `on_kill` may have got nowhere; of an earlier try a job may run.
        trouble = "" if is_first or self._is_settled else self._give_up("cancel", hook)
        raise DliError(f"{ENDED}. {trouble}".rstrip())

    @property
    def is_ended_by_kill(self) -> bool:
        """Whether `on_kill` was called, and saw that the job has ended."""
        return self._is_killed and self._is_settled

    def cancelled(self, batch_id: str) -> str:
        """Returns the sentence that tells of a job which `on_kill` cancelled."""
        return f"{ENDED}, so it cancelled its Spark job {batch_id}."

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """Go on after the deferral; one that Airflow itself ended gives the job up first."""
        self._was_deferred = True
        if next_method != "__fail__":
            return super().resume_execution(next_method, next_kwargs, context)
        owner = self._begin(context)
        is_timeout = str((next_kwargs or {}).get("error")).lower().endswith("timeout")
        with self.hook as hook, self._interruptible():
            try:
                return super().resume_execution(next_method, next_kwargs, context)
            except Exception as error:
                self._fail(hook, owner, error, is_timeout=is_timeout)
                raise

    @contextmanager
    def responsible(self, hook: DliHook, owner: Owner) -> Iterator[None]:
        """Do with the job what is to be done when the task fails or is interrupted."""
        with self._interruptible(), self._failing(hook, owner):
            yield

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Take Ctrl-C for a kill: on `airflow dags test` nothing else comes of it."""
        try:
            yield
        except KeyboardInterrupt:
            self.on_kill()
            raise

    @contextmanager
    def _failing(self, hook: DliHook, owner: Owner) -> Iterator[None]:
        from airflow_provider_dli.api.protocol.errors import (
            InputError,
            SparkBatchAmbiguousError,
            SparkBatchFailedError,
        )

        try:
            yield
        except SparkBatchFailedError as error:
            self._is_settled = True
            if error.is_permanent:
                raise AirflowFailException(str(error)) from error
            raise
        except (InputError, SparkBatchAmbiguousError) as error:
            self._fail(hook, owner, error, is_final=True)
            raise AirflowFailException(str(error)) from error
        except (TimeoutError, AirflowTaskTimeout) as error:
            self._fail(hook, owner, error, is_timeout=True)
            raise
        except (Exception, SystemExit) as error:
            self._fail(hook, owner, error)
            raise

    def _begin(self, context: Context) -> Owner:
        """Note whose job it is, from when on `on_kill` cancels it."""
        # The hook first: `on_kill` would wait for it, if that came while it is made.
        _ = self.hook
        self._context = context
        self._owner = owner_of(self, context, self.job_label)
        return self._owner

    def on_kill(self) -> None:
        """Cancel the job, within the seconds that Airflow leaves.

        Airflow calls it also when the task's `execution_timeout` is over; and on Airflow 2 without
        any other method before, when that came while the task was deferred.
        """
        is_timeout = isinstance(sys.exception(), AirflowTaskTimeout)
        if is_timeout and self._owner is None:
            # Imported when it is needed: on Airflow 2.11 it brings sixty modules along.
            from airflow.providers.common.compat.sdk import get_current_context

            self._begin(get_current_context())
            self._was_deferred = True
        policy = self.timeout_policy if is_timeout else self.kill_policy
        if self._is_settled or policy == "leave":
            return
        self._is_killed = True
        if self._owner is None:
            return  # it has not begun, and will not: see `check_alive`
        if self._cancelling is None:
            # In a thread: the signal may have come while this one held a lock that it needs. So
            # the other one waits for no lock, and logs nothing before it has asked for the cancel.
            self._cancelling = threading.Thread(target=self._kill, name="dli-on-kill", daemon=True)
            self._cancelling.start()
        # For a second signal as well: Airflow 2 ends the process as soon as this returns.
        self._cancelling.join(ON_KILL_LIMIT)
        if self._cancelling.is_alive():
            self.log.warning("The Spark job is still being cancelled; look whether it has ended.")

    def _kill(self) -> None:
        half = ON_KILL_LIMIT / 2
        # Not `self.hook`: before Python 3.12 that waits for a lock.
        ours = self.__dict__.get("hook") or self.hook
        if self._owner and not self._may_run(ours, self._owner):
            return
        try:
            # Two tries of the cancel, and a second for the last look at what came of it.
            with ours.apart(half, within=half) as hook:
                seconds = ON_KILL_LIMIT - LAST_LOOK
                trouble = self._give_up("cancel", hook, seconds=seconds, is_broken_off=True)
        except Exception as unreadable:
            kind = type(unreadable).__name__
            self.log.error("A Spark job may still run: the connection cannot be read (%s).", kind)
        else:
            if self.batch_id and not trouble:
                self.log.info(self.cancelled(self.batch_id))

    def _fail(
        self,
        hook: DliHook,
        owner: Owner,
        error: BaseException,
        *,
        is_timeout: bool = False,
        is_final: bool = False,
    ) -> None:
        """Give the job up as the policies say; what goes wrong with that is noted on the error."""
        if self._is_killed or self._is_settled or not self._may_run(hook, owner, error):
            return
        is_final = is_final or is_timeout
        if not is_final and is_tried_again(self, owner, error, self._context):
            self.log.info("The Spark job is left as it is: the next try reconnects to it.")
            return
        policy = self.timeout_policy if is_timeout else self.failure_policy
        try:
            # Where the error came from, connections may be in the middle of something.
            with hook.apart(within=CONNECTION_LIMIT) as other:
                is_broken_off = isinstance(error, AirflowTaskTimeout)
                trouble = self._give_up(policy, other, is_broken_off=is_broken_off)
        except Exception as unreadable:
            # A secrets backend may raise anything, in words that quote what it read.
            kind = type(unreadable).__name__
            trouble = f"A Spark job may still run: its connection cannot be read ({kind})."
        if trouble:
            error.add_note(trouble)

    def _may_run(self, hook: DliHook, owner: Owner, error: BaseException | None = None) -> bool:
        """Whether there may be a job when the task ends, with an error if it failed."""
        from airflow_provider_dli.api.protocol.errors import DliError

        # Of an earlier try a job may run also where this one got nowhere.
        if self.batch_id or self._was_deferred or not owner.is_first_try:
            return True
        if isinstance(error, DliError):
            return error.may_be_done
        return hook.knows_account  # before that nothing was asked

    def _give_up(
        self,
        policy: str,
        hook: DliHook,
        *,
        seconds: float | None = None,
        is_broken_off: bool = False,
    ) -> str:
        """Cancel the job or leave it, and say what may still run.

        `is_broken_off` says that a submission may have been under way.
        """
        from airflow_provider_dli.api.jobs.calls import VERIFY_FOR
        from airflow_provider_dli.api.protocol.errors import DliError

        name = self._owner.name if self._owner else ""
        which = self.batch_id or f"named {name!r}"
        if policy == "leave":
            self.log.warning("Spark job %s is left as it is.", which)
            return f"Spark job {which} may still run: the task leaves it."
        limit = VERIFY_FOR if seconds is None else seconds
        try:
            if self.batch_id:
                last = hook.cancel_batch(self.batch_id, seconds=limit)
                running = [] if last is None or last.is_terminal else [last.id]
            else:
                names = () if self._owner is None else (name, *self.earlier_names(self._owner))
                late = limit if is_broken_off else 0.0
                running = hook.cancel_batches_named(*names, seconds=limit, late=late)
        except DliError as error:
            self.log.error("Spark job %s could not be cancelled: %s", which, error)
            return f"Spark job {which} may still run: it could not be cancelled: {error}"
        self._is_settled = not running
        if running:
            return f"Spark job {which} was cancelled, but had not ended when last looked at."
        return ""
