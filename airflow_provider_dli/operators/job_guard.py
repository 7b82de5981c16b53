# SPDX-License-Identifier: Apache-2.0
"""Answers for the Spark job of a task: keeps its id, and cancels or leaves it at the task's end."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowTaskTimeout

from airflow_provider_dli.api.protocol.errors import (
    DliError,
    InputError,
    SparkBatchAmbiguousError,
    SparkBatchFailedError,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_dli.api.jobs.models import SparkBatch
    from airflow_provider_dli.api.jobs.names import Owner
    from airflow_provider_dli.api.protocol.log import Log
    from airflow_provider_dli.hooks.dli import DliHook
    from airflow_provider_dli.operators.spark import SparkBatchOperator

Policy = Literal["cancel", "leave"]

ON_KILL_LIMIT = 4.0
"""Seconds that `on_kill` may take: Airflow 3 kills the process after five."""

WARNING_LIMIT = 0.3
"""Seconds for a warning after that."""

LAST_LOOK = 1.0
"""Seconds of `ON_KILL_LIMIT` that are kept for a last look at the job."""

CONNECTION_LIMIT = 30.0
"""Seconds for which a failed task tries again to read a connection that cannot be read."""

ENDED = "The task was ended from outside (it was marked or cleared, or its worker stopped)"

_STATE_KEY = "dli_spark_batch"


def owner_of(task: BaseOperator, context: Context, label: str | None) -> Owner:
    """Returns the running task instance as the owner of a job.

    `label` begins the name of the job. The default is made of the ids of the DAG and the task.
    """
    from airflow_provider_dli.api.jobs.names import Owner

    ti = context.get("ti")
    label = (label or "").strip()  # a template may render to nothing
    if ti is None:
        return Owner(label or f"{task.dag_id}-{task.task_id}", task.dag_id, task.task_id)
    return Owner(
        label=label or f"{ti.dag_id}-{ti.task_id}",
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        try_number=ti.try_number,
        generation=ti.max_tries,
        retries=task.retries or 0,
    )


class JobMemory:
    """Keeps the id of a task's job: as an XCom value and, on Airflow 3.3, in the task's state.

    A job is also found by its name, so an id that cannot be kept does not fail the task.
    """

    def __init__(self, context: Context, owner: Owner, log: Log) -> None:
        self._ti: Any = context.get("ti")
        self._state: Any = context.get("task_state_store")
        self._owner = owner
        self._log = log

    @property
    def batch_id(self) -> str | None:
        """The id of the job that an earlier try of the same generation submitted, if kept."""
        if self._state is None or self._owner.is_first_try:
            return None
        kept = self._try("read the task's state", lambda: self._state.get(_STATE_KEY))
        # Airflow 3.3 keeps the state when a user clears the task: then it is of another generation.
        if not isinstance(kept, dict) or kept.get("name") != self._owner.name:
            return None
        return str(kept["batch_id"]) if kept.get("batch_id") else None

    def keep(self, batch_id: str, keep_links: Callable[[Any], object]) -> None:
        """Keeps a job that was submitted or found; `keep_links` is given the task instance."""
        from airflow_provider_dli.api.jobs.names import BATCH_ID

        if self._state is not None:
            kept = {"batch_id": batch_id, "name": self._owner.name}
            self._try("write the task's state", lambda: self._state.set(_STATE_KEY, kept))
        if self._ti is not None:
            self._try("push an XCom value", lambda: self._ti.xcom_push(BATCH_ID, batch_id))
            self._try("keep the links", lambda: keep_links(self._ti))

    def forget(self) -> None:
        """Forgets a job that is dead, so that the next try submits a new one."""
        if self._state is not None:
            self._try("delete the task's state", lambda: self._state.delete(_STATE_KEY))

    def _try(self, what: str, act: Callable[[], object]) -> object:
        try:
            return act()
        except Exception as error:
            self._log.warning(
                "Airflow did not %s (%s: %s). The job is found by its name, %s.",
                what,
                type(error).__name__,
                error,
                self._owner.name,
            )
            return None


class JobGuard:
    """Answers for the Spark job of a task, whatever ends the task.

    The task runs inside of `running`, and Airflow's `on_kill` comes here. When the task ends before
    its job, the guard cancels the job or leaves it, as `on_timeout`, `on_kill` and `on_failure` of
    the operator say. While tries are left, a task that fails leaves its job to the next one.
    """

    owner: Owner
    memory: JobMemory

    def __init__(self, task: SparkBatchOperator) -> None:
        self.batch_id: str | None = None
        self.was_deferred = False
        self.is_killed = False
        self._is_settled = False  # the job has ended, or nothing of it runs
        self._task = task
        self._context: Context | None = None
        self._hook: DliHook | None = None
        self._canceller: threading.Thread | None = None

    @contextmanager
    def running(self, context: Context, *, is_timeout: bool = False) -> Iterator[DliHook]:
        """Runs a block on the task's hook; when it fails or is interrupted, decides about the job.

        `is_timeout` says that the block only raises the timeout of a deferral.
        """
        self._begin(context)
        with self._task.hook as hook, self._interruptible():
            try:
                yield hook
            except SparkBatchFailedError as error:
                self._is_settled = True
                if error.is_permanent:
                    raise AirflowFailException(str(error)) from error
                raise
            except (InputError, SparkBatchAmbiguousError) as error:
                self._decide(error, hook, is_final=True)
                raise AirflowFailException(str(error)) from error
            except (Exception, AirflowTaskTimeout, SystemExit) as error:
                is_timeout = is_timeout or isinstance(error, TimeoutError | AirflowTaskTimeout)
                self._decide(error, hook, is_timeout=is_timeout)
                raise

    def _begin(self, context: Context) -> None:
        """Notes whose job it is. From now on `on_kill` cancels it."""
        self._hook = self._task.hook
        self.owner = owner_of(self._task, context, self._task.job_label)
        self.memory = JobMemory(context, self.owner, self._task.log)
        self._context = context  # the last: `on_kill` reads from it whether the task has begun

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Treats Ctrl-C as a kill: `airflow dags test` calls nothing else."""
        try:
            yield
        except KeyboardInterrupt:
            self.on_kill()
            raise

    def keep(self, batch_id: str, keep_links: Callable[[Any], object]) -> None:
        """Notes the job that was submitted or found, also for the next try."""
        self.batch_id = batch_id
        self.memory.keep(batch_id, keep_links)

    def forget(self, batch: SparkBatch) -> None:
        """Forgets the job of an earlier try, which was still active then and is dead now.

        Had this try begun later, it would have submitted a new job as well. This happens when
        somebody clears a running task: its job is being cancelled while the next try begins.
        """
        self._task.log.warning(
            "Spark job %s, which an earlier try submitted, is %s. A new job is submitted.",
            batch.id,
            batch.raw_state,
        )
        self.memory.forget()
        self.batch_id = None

    def check_ended(self, batch: SparkBatch) -> None:
        """Notes the end of the job; raises `SparkBatchFailedError` if `on_kill` cancelled it."""
        if not batch.is_dead:
            self._is_settled = batch.is_terminal
            return
        self.memory.forget()
        if self.is_killed and self._is_settled:
            raise SparkBatchFailedError(self._cancelled(), batch.id)

    def check_alive(self) -> None:
        """Raises when `on_kill` was called: on Airflow 3 the task goes on after that."""
        if not self.is_killed:
            return
        trouble = ""
        if self.batch_id:
            # The job may come from a submission that was in progress during `on_kill`.
            trouble = self._give_up("cancel", self._task.hook)
            if not trouble:
                raise DliError(self._cancelled())
        elif not (self.owner.is_first_try or self._is_settled):
            # `on_kill` may have failed, and a job of an earlier try may run.
            trouble = self._give_up("cancel", self._task.hook)
        raise DliError(f"{ENDED}. {trouble}".rstrip())

    def on_kill(self) -> None:
        """Cancels the job, within the seconds that Airflow leaves.

        Airflow also calls it when the task's `execution_timeout` is over. Airflow 2 does so without
        calling any other method first when the task was deferred.
        """
        is_timeout = isinstance(sys.exception(), AirflowTaskTimeout)
        if is_timeout and self._context is None:
            # Imported only when needed: on Airflow 2.11 it loads sixty modules.
            from airflow.providers.common.compat.sdk import get_current_context

            self._begin(get_current_context())
            self.was_deferred = True
        policy = self._task.timeout_policy if is_timeout else self._task.kill_policy
        if self._is_settled or policy == "leave":
            return
        self.is_killed = True
        if self._context is None:
            return  # the task has not begun: `check_alive` will stop it
        if self._canceller is None:
            # In a thread, because the signal may have interrupted code that holds a lock. The
            # thread takes none of these locks, and logs nothing before it has sent the cancel.
            self._canceller = threading.Thread(
                target=self._cancel_in_time, name="dli-on-kill", daemon=True
            )
            self._canceller.start()
        # Also for a second signal: Airflow 2 ends the process as soon as this returns.
        self._canceller.join(ON_KILL_LIMIT)
        if self._canceller.is_alive():
            # Not here: the signal may have interrupted code that holds the lock of the log.
            warn = partial(
                self._task.log.warning,
                "The Spark job is still being cancelled. Check whether it has ended.",
            )
            warning = threading.Thread(target=warn, name="dli-on-kill-warning", daemon=True)
            warning.start()
            warning.join(WARNING_LIMIT)

    def _cancel_in_time(self) -> None:
        hook, log = self._hook, self._task.log
        if hook is None or not self._may_run(hook):
            return
        half = ON_KILL_LIMIT / 2
        try:
            # Time for two attempts to cancel, and for a last look at the job.
            with hook.apart(half, within=half) as other:
                seconds = ON_KILL_LIMIT - LAST_LOOK
                trouble = self._give_up("cancel", other, seconds=seconds, is_broken_off=True)
        except Exception as unreadable:
            kind = type(unreadable).__name__
            log.error("A Spark job may still be running: the connection cannot be read (%s).", kind)
        else:
            if self.batch_id and not trouble:
                log.info(self._cancelled())

    def _decide(
        self,
        error: BaseException,
        hook: DliHook,
        *,
        is_timeout: bool = False,
        is_final: bool = False,
    ) -> None:
        """Cancels or leaves the job of a failed task; adds a note to the error if it may run."""
        if self.is_killed or self._is_settled or not self._may_run(hook, error):
            return
        if not (is_timeout or is_final) and self._is_tried_again(error):
            self._task.log.info("The Spark job is left running: the next try reconnects to it.")
            return
        policy = self._task.timeout_policy if is_timeout else self._task.failure_policy
        try:
            # Another hook: the connections of this one may have been interrupted in the middle.
            with hook.apart(within=CONNECTION_LIMIT) as other:
                is_broken_off = isinstance(error, AirflowTaskTimeout)
                trouble = self._give_up(policy, other, is_broken_off=is_broken_off)
        except Exception as unreadable:
            # A secrets backend may raise anything, and its message may quote what it read.
            kind = type(unreadable).__name__
            trouble = f"A Spark job may still be running: its connection cannot be read ({kind})."
        if trouble:
            error.add_note(trouble)

    def _is_tried_again(self, error: BaseException) -> bool:
        """Whether Airflow tries the task again after this error.

        On Airflow 3.3 a `retry_policy` may end the task while tries are left. It is asked here as
        Airflow asks it afterwards. It cannot add a try.
        """
        if not self.owner.may_try_again or isinstance(error, AirflowFailException):
            return False
        policy: Any = getattr(self._task, "retry_policy", None)
        if policy is None:
            return True
        try:
            decision = policy.evaluate(
                exception=error,
                try_number=self.owner.try_number,
                max_tries=self.owner.generation,
                context=self._context,
            )
            return str(decision.action.value) != "fail"
        except Exception as broken:
            # Airflow falls back to the number of tries.
            self._task.log.warning("The retry_policy failed (%s).", type(broken).__name__)
            return True

    def _may_run(self, hook: DliHook, error: BaseException | None = None) -> bool:
        """Whether a job may be running when the task ends, with `error` if it failed."""
        # A job of an earlier try may run even if this one did not get that far.
        if self.batch_id or self.was_deferred or not self.owner.is_first_try:
            return True
        if isinstance(error, DliError):
            return error.may_be_done
        return hook.knows_account  # DLI is asked nothing before the connection is read

    def _give_up(
        self,
        policy: Policy,
        hook: DliHook,
        *,
        seconds: float | None = None,
        is_broken_off: bool = False,
    ) -> str:
        """Cancels the job or leaves it; returns what may still be running, or an empty text.

        `is_broken_off` says that a submission may have been in progress.
        """
        from airflow_provider_dli.api.jobs.calls import VERIFY_FOR

        names = (self.owner.name, *self._task.names_from_before_clear(self.owner))
        which = self.batch_id or f"named {names[0]!r}"
        if policy == "leave":
            self._task.log.warning("Spark job %s is left running.", which)
            return f"Spark job {which} may still be running: the task leaves it."
        limit = VERIFY_FOR if seconds is None else seconds
        try:
            if self.batch_id:
                last = hook.cancel_batch(self.batch_id, seconds=limit)
                is_running = last is not None and not last.is_terminal
            else:
                late = limit if is_broken_off else 0.0
                is_running = bool(hook.cancel_batches_named(*names, seconds=limit, late=late))
        except DliError as error:
            self._task.log.error("Spark job %s could not be cancelled: %s", which, error)
            return f"Spark job {which} may still be running: it could not be cancelled: {error}"
        self._is_settled = not is_running
        if is_running:
            return f"Spark job {which} was cancelled, but had not ended at the last look."
        return ""

    def _cancelled(self) -> str:
        return f"{ENDED}, so it cancelled its Spark job {self.batch_id}."
