"""What becomes of the job of a task that is ended from outside, or that fails."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowNotFoundException,
    AirflowTaskTimeout,
)
from conftest import connection
from eventually import at_last
from fake_clock import FakeClock
from scenarios.jobs import NEVER, cancels, job, looks, submissions
from scenarios.modes import Mode, once
from task_runs import TaskRun, cleared, context, first, retried

from airflow_provider_dli.api.protocol.errors import (
    DliError,
    PermissionDeniedError,
    SparkBatchFailedError,
)
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.hooks.dli import DliHook
from airflow_provider_dli.operators.job_guard import ON_KILL_LIMIT
from airflow_provider_dli.operators.spark import SparkBatchOperator

if version("apache-airflow").startswith("2."):
    from airflow.exceptions import AirflowTaskTerminated
    from airflow.exceptions import TaskDeferralError as DeferralTimeout
else:
    from airflow.sdk.exceptions import AirflowTaskTerminated
    from airflow.sdk.exceptions import TaskDeferralTimeout as DeferralTimeout

# A signal may come where a library just opened a socket.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def mode(clock: FakeClock, connect: Callable[..., None], emulator: Emulator) -> Mode:
    """The worker, on a clock that nobody waits for."""
    connect()
    emulator.set_batch_timeline("*", NEVER)
    return Mode("worker", clock)


@pytest.fixture
def dli(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator on the machine's clock, with a connection to it and jobs that do not end."""
    with running() as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
        emulator.set_batch_timeline("*", NEVER)
        yield emulator


def spark(**arguments: Any) -> SparkBatchOperator:
    """Returns a task on the machine's clock."""
    return Mode("worker", None).spark(**{"poll_interval": 0.1, "timeout": None} | arguments)


def submitted() -> SparkBatchOperator:
    """Returns a task that has submitted its job."""
    operator = spark(wait_for_completion=False)
    operator.execute(context(first(operator)))
    return operator


def polled(mode: Mode, operator: SparkBatchOperator, act: Callable[[], object]) -> Any:
    """Execute a task in whose time something happens when its job is looked at."""
    started = mode.now()
    return mode.run(operator, once(lambda: mode.now() - started > 60, act), first(operator))


# In the middle of a poll


def test_a_task_that_is_killed_cancels_its_job_once(mode: Mode, emulator: Emulator) -> None:
    operator = mode.spark()

    with pytest.raises(SparkBatchFailedError):
        polled(mode, operator, operator.on_kill)

    assert cancels(emulator) == 1
    assert job(emulator)["state"] == "dead"


def test_what_the_task_says_of_it_has_the_end_of_the_job(
    mode: Mode, emulator: Emulator, task_log: Callable[[], str]
) -> None:
    operator = mode.spark()

    with pytest.raises(SparkBatchFailedError, match="so it cancelled its Spark job"):
        polled(mode, operator, operator.on_kill)

    text = task_log()
    assert f"Spark job {job(emulator)['id']} has ended: dead" in text
    assert f"so it cancelled its Spark job {job(emulator)['id']}." in text


def test_a_task_that_leaves_its_job_follows_it_to_the_end(mode: Mode, emulator: Emulator) -> None:
    emulator.set_batch_timeline("*", [(0, "running"), (600, "success")])
    operator = mode.spark(on_kill="leave")

    result = polled(mode, operator, operator.on_kill)

    assert (result["state"], cancels(emulator)) == ("success", 0)


def test_a_second_signal_sends_no_second_cancel(mode: Mode, emulator: Emulator) -> None:
    operator = mode.spark()

    def twice() -> None:
        operator.on_kill()
        operator.on_kill()

    with pytest.raises(SparkBatchFailedError):
        polled(mode, operator, twice)

    assert cancels(emulator) == 1


def test_a_killed_task_with_tries_left_cancels_its_job_too(mode: Mode, emulator: Emulator) -> None:
    operator = mode.spark(retries=3)

    with pytest.raises(SparkBatchFailedError):
        polled(mode, operator, operator.on_kill)

    assert job(emulator)["state"] == "dead"


def test_a_job_that_goes_on_is_said_to_go_on(dli: Emulator, task_log: Callable[[], str]) -> None:
    dli.add_fault(Fault(method="DELETE", times=None, body={"msg": "deleted"}))
    operator = submitted()

    operator.on_kill()

    assert "was cancelled, but 3 s later it is still running" in task_log()


def test_a_cancel_that_is_refused_is_said_and_raises_nothing(
    dli: Emulator, task_log: Callable[[], str]
) -> None:
    dli.add_fault(Fault("forbidden", method="DELETE", times=None))
    operator = submitted()

    operator.on_kill()

    assert "could not be cancelled: " in task_log()


def test_a_retry_that_is_killed_submits_no_other_job(mode: Mode, emulator: Emulator) -> None:
    run = first(mode.spark(retries=2))
    mode.run(mode.spark(retries=2, wait_for_completion=False), run=run)
    operator = mode.spark(retries=2)

    with pytest.raises(SparkBatchFailedError):
        mode.run(operator, once(lambda: True, operator.on_kill), retried(run))

    assert submissions(emulator) == 1
    assert job(emulator)["state"] == "dead"


# One try and another


def test_each_try_that_airflow_prepares_answers_for_its_own_job(dli: Emulator) -> None:
    """Airflow runs a shallow copy of the task of the DAG."""
    task = spark(wait_for_completion=False)
    one, other = (task.prepare_for_execution() for _ in range(2))
    one.name, other.name = "one", "other"  # as templates are rendered
    for operator in (one, other):
        operator.execute(context(first(operator)))

    one.on_kill()

    states = {batch["name"].split("-")[0]: batch["state"] for batch in dli.batches().values()}
    assert states == {"one": "dead", "other": "running"}


# Before there is anything to cancel, and after


def test_a_task_that_has_not_begun_asks_nothing(dli: Emulator) -> None:
    spark().on_kill()

    assert dli.requests == []


def test_a_task_whose_job_has_ended_asks_nothing_more(dli: Emulator) -> None:
    dli.set_batch_timeline("*", [(0, "success")])
    operator = spark()
    operator.execute(context(first(operator)))
    dli.clear_requests()

    operator.on_kill()

    assert dli.requests == []


def test_a_task_that_is_killed_before_it_has_begun_submits_nothing(dli: Emulator) -> None:
    """Airflow 3 lets it go on after `on_kill`."""
    operator = spark()
    operator.on_kill()

    with pytest.raises(DliError, match="task was ended"):
        operator.execute(context(first(operator)))

    assert submissions(dli) == 0


def test_a_connection_that_cannot_be_read_is_said(
    dli: Emulator, monkeypatch: pytest.MonkeyPatch, task_log: Callable[[], str]
) -> None:
    run = retried(begun(dli, retries=1))
    monkeypatch.delenv("AIRFLOW_CONN_DLI_DEFAULT")
    operator = spark(retries=1)
    operator.hook = DliHook(clock=FakeClock())
    with pytest.raises(AirflowNotFoundException):
        operator.execute(context(run))

    operator.on_kill()

    assert "the connection cannot be read (AirflowNotFoundException)" in task_log()


class Flaky(DliHook):
    """A hook whose secrets backend fails for a moment, in words that quote a secret."""

    failures = 0

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        if cls.failures:
            cls.failures -= 1
            raise RuntimeError("password=swordfish")
        return super().get_connection(conn_id)


@pytest.fixture
def flaky() -> Iterator[type[Flaky]]:
    """A backend that fails twice, then answers."""
    Flaky.failures = 2
    yield Flaky
    Flaky.failures = 0


def test_a_backend_that_fails_for_a_moment_keeps_no_one_from_the_cancel_of_a_kill(
    dli: Emulator, flaky: type[Flaky], task_log: Callable[[], str]
) -> None:
    run = retried(begun(dli, retries=1))
    operator = spark(retries=1)
    operator.hook = flaky(clock=FakeClock())
    with pytest.raises(RuntimeError):
        operator.execute(context(run))

    flaky.failures = 2
    operator.on_kill()

    assert job(dli)["state"] == "dead"
    assert "swordfish" not in task_log()


def test_a_backend_that_fails_for_a_moment_keeps_no_one_from_the_cancel_after_a_deferral(
    dli: Emulator, flaky: type[Flaky]
) -> None:
    run = begun(dli)
    operator = spark()
    operator.hook = flaky(clock=FakeClock())

    error = failed(operator, run)

    assert job(dli)["state"] == "dead"
    assert not hasattr(error, "__notes__")


def test_a_task_whose_connection_was_never_read_has_no_job_to_look_for(dli: Emulator) -> None:
    class Closed(DliHook):
        @classmethod
        def get_connection(cls, conn_id: str) -> Any:
            raise RuntimeError("closed")

    operator, clock = spark(), FakeClock()
    operator.hook = Closed(clock=clock)

    with pytest.raises(RuntimeError) as caught:
        operator.execute(context(first(operator)))

    assert clock.slept == []
    assert not hasattr(caught.value, "__notes__")


def test_a_kill_does_not_wait_for_the_first_token_of_the_interrupted_task(
    dli: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = dli.settings
    fields = {"auth_type": "password", "account": known.account, "iam_endpoint": dli.url}
    extra = dli.airflow_connection["extra"] | fields | {"read_timeout": 5}
    login = {"conn_type": "dli", "login": known.users[0], "password": known.password}
    run = retried(begun(dli, retries=1))
    monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", json.dumps(login | {"extra": extra}))
    dli.add_fault(Fault("hang", path="/v3/auth/tokens"))
    operator = spark(retries=1)

    with signalled(hit(dli), act=terminated(operator)), pytest.raises(AirflowTaskTerminated):
        operator.execute(context(run))

    assert job(dli)["state"] == "dead"


# Ctrl-C, as on `airflow dags test`


@pytest.mark.parametrize(("policy", "state"), [("cancel", "dead"), ("leave", "running")])
@pytest.mark.parametrize("retries", [0, 2])
def test_ctrl_c_counts_as_a_kill(
    mode: Mode, emulator: Emulator, policy: Any, state: str, retries: int
) -> None:
    operator = mode.spark(on_kill=policy, retries=retries)

    with pytest.raises(KeyboardInterrupt):
        polled(mode, operator, interrupt)

    assert job(emulator)["state"] == state


def interrupt() -> None:
    raise KeyboardInterrupt


def test_ctrl_c_while_the_job_is_submitted_finds_it_by_its_name(dli: Emulator) -> None:
    dli.add_fault(Fault("hang", method="POST", when="after"))
    operator = spark()

    with signalled(hit(dli), act=interrupt), pytest.raises(KeyboardInterrupt):
        operator.execute(context(first(operator)))

    assert submissions(dli) == 1
    assert job(dli)["state"] == "dead"


@pytest.mark.parametrize("ending", [KeyboardInterrupt, AirflowTaskTimeout, SystemExit])
def test_what_ends_the_task_while_it_keeps_the_id_cancels_the_job(
    mode: Mode, emulator: Emulator, ending: type[BaseException]
) -> None:
    class Ending(TaskRun):
        def xcom_push(self, key: str, value: Any) -> None:
            raise ending

    operator = mode.spark()
    operator.hook = DliHook(clock=mode.clock)

    with pytest.raises(ending):
        operator.execute(context(Ending()))

    assert job(emulator)["state"] == "dead"


# A policy that ends the task while tries are left


class Policy:
    """A `retry_policy` of Airflow 3.3, which Airflow asks again."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[tuple[type[BaseException], int, int]] = []

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
    ) -> Any:
        self.asked.append((type(exception), try_number, max_tries))
        if self.answer == "broken":
            raise RuntimeError
        return SimpleNamespace(action=SimpleNamespace(value=self.answer))


@pytest.mark.parametrize(
    ("answer", "state"),
    [("fail", "dead"), ("retry", "running"), ("default", "running"), ("broken", "running")],
)
def test_a_retry_policy_decides_whether_the_failure_is_the_last(
    mode: Mode, emulator: Emulator, answer: str, state: str
) -> None:
    emulator.add_fault(Fault("forbidden", method="GET", path="/batches/*"))
    operator = mode.spark(retries=2)
    operator.retry_policy = policy = Policy(answer)

    with pytest.raises(PermissionDeniedError):
        polled(mode, operator, lambda: None)

    assert job(emulator)["state"] == state
    assert policy.asked == [(PermissionDeniedError, 1, 2)]


def test_a_retry_policy_adds_no_try(mode: Mode, emulator: Emulator) -> None:
    emulator.add_fault(Fault("forbidden", method="GET", path="/batches/*"))
    operator = mode.spark(retries=0)
    operator.retry_policy = Policy("retry")

    with pytest.raises(PermissionDeniedError):
        polled(mode, operator, lambda: None)

    assert job(emulator)["state"] == "dead"


@pytest.mark.parametrize(("answer", "state"), [("fail", "dead"), ("retry", "running")])
def test_a_retry_policy_decides_for_a_deferral_that_airflow_ended(
    dli: Emulator, answer: str, state: str
) -> None:
    run = begun(dli, retries=1)
    operator = spark(retries=1)
    operator.retry_policy = Policy(answer)

    failed(operator, run, "Trigger failure")

    assert job(dli)["state"] == state


@contextlib.contextmanager
def signalled(*moments: Callable[[], object], act: Callable[[], object]) -> Iterator[None]:
    """Have the process get a signal at each of these moments, as Airflow has it get SIGTERM."""
    over, main = threading.Event(), threading.get_ident()

    def send() -> None:
        for moment in moments:
            at_last(lambda moment=moment: moment() or over.is_set())
            if not over.is_set():
                signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: act())
    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    try:
        yield
    finally:
        over.set()
        sending.join()
        signal.signal(signal.SIGUSR1, before)


def hit(dli: Emulator) -> Callable[[], object]:
    """Returns whether the fault is there, when asked."""
    return lambda: dli.faults.as_json()[0]["hit"]


def terminated(operator: SparkBatchOperator) -> Callable[[], None]:
    """Returns what Airflow 2 does with a signal."""

    def act() -> None:
        operator.on_kill()
        raise AirflowTaskTerminated

    return act


def test_a_task_that_is_killed_while_it_looks_for_its_job_leaves_none(dli: Emulator) -> None:
    """Airflow 3 lets it go on after `on_kill`."""
    dli.add_fault(Fault("hang", seconds=0.5, path="/batches", method="GET"))
    operator = spark()

    with signalled(hit(dli), act=operator.on_kill), pytest.raises(DliError, match="task was ended"):
        operator.execute(context(first(operator)))

    assert {batch["state"] for batch in dli.batches().values()} <= {"dead"}


@pytest.mark.parametrize("wait_for_completion", [True, False])
def test_a_job_that_is_submitted_while_the_task_is_killed_is_cancelled(
    dli: Emulator, wait_for_completion: bool
) -> None:
    dli.add_fault(Fault("hang", seconds=0.6, method="POST"))
    operator = spark(wait_for_completion=wait_for_completion)

    with signalled(hit(dli), act=operator.on_kill), pytest.raises(DliError, match="task was ended"):
        operator.execute(context(first(operator)))

    assert submissions(dli) == 1
    assert job(dli)["state"] == "dead"


def test_a_job_that_is_submitted_while_airflow_2_ends_the_task_is_cancelled(dli: Emulator) -> None:
    dli.add_fault(Fault("hang", seconds=0.6, method="POST"))
    operator = spark()

    with signalled(hit(dli), act=terminated(operator)), pytest.raises(AirflowTaskTerminated):
        operator.execute(context(first(operator)))

    assert job(dli)["state"] == "dead"


def test_a_second_signal_does_not_cut_the_cancel_off(dli: Emulator) -> None:
    dli.add_fault(Fault("hang", seconds=0.6, method="DELETE"))
    operator = spark()

    with (
        signalled(lambda: looks(dli), hit(dli), act=terminated(operator)),
        pytest.raises(AirflowTaskTerminated),
    ):
        operator.execute(context(first(operator)))

    assert cancels(dli) == 1
    assert job(dli)["state"] == "dead"


def test_a_signal_in_the_middle_of_a_look_keeps_nobody_from_the_cancel(dli: Emulator) -> None:
    dli.add_fault(Fault("hang", seconds=1.5, method="GET", path="/batches/*", skip=1))
    operator = spark(driver_log=False, poll_interval=0.2)
    cancelled: list[int] = []

    def kill() -> None:
        operator.on_kill()
        cancelled.append(cancels(dli))  # the look goes on after this

    with signalled(hit(dli), act=kill), pytest.raises(SparkBatchFailedError):
        operator.execute(context(first(operator)))

    assert cancelled == [1]


def test_a_service_that_is_silent_holds_nobody_up_for_long(
    dli: Emulator, task_log: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five seconds after the signal Airflow 3 kills the process."""
    monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(dli, read_timeout=60))
    dli.add_fault(Fault("hang", method="DELETE", times=None))
    operator = submitted()

    operator.on_kill()

    assert ON_KILL_LIMIT < 5
    # Later the connection would give up, and this would not be in the log yet.
    assert re.search("could not be cancelled: DELETE .* its answer was lost", task_log())


class Held:
    """A log whose lock the interrupted code holds."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def _write(self, *_: object) -> None:
        with self.lock:
            pass

    info = warning = error = _write


class LogIsHeld(SparkBatchOperator):
    held = Held()

    @property
    def log(self) -> Any:
        return self.held


def test_a_signal_in_the_middle_of_a_log_line_holds_nobody_up_for_long(dli: Emulator) -> None:
    operator = LogIsHeld(
        task_id="run",
        file="obs://bucket/application.py",
        queue_name="queue",
        spark_version="3.1.1",
        wait_for_completion=False,
    )
    operator.execute(context(first(operator)))

    with operator.held.lock:
        operator.on_kill()

    assert cancels(dli) == 1


# Ended by Airflow itself while it was deferred


def failed(
    operator: SparkBatchOperator, run: TaskRun, error: str = "Trigger timeout"
) -> BaseException:
    """Go on with a deferred task as Airflow does when its trigger gave no event."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of another class in each Airflow
        operator.resume_execution("__fail__", {"error": error}, context(run))
    return caught.value


def begun(dli: Emulator, **arguments: Any) -> TaskRun:
    """Returns the run of a task that submitted its job and waits."""
    operator = spark(**arguments, wait_for_completion=False)
    run = first(operator)
    operator.execute(context(run))
    dli.clear_requests()
    return run


@pytest.mark.parametrize("retries", [0, 2])
def test_a_deferral_that_times_out_cancels_the_job(dli: Emulator, retries: int) -> None:
    run = begun(dli, retries=retries)

    error = failed(spark(retries=retries), run)

    assert isinstance(error, DeferralTimeout)
    assert cancels(dli) == 1
    assert job(dli)["state"] == "dead"


def test_a_deferral_that_times_out_may_leave_the_job(dli: Emulator) -> None:
    run = begun(dli)

    error = failed(spark(on_timeout="leave"), run)

    assert "may still be running: the task leaves it" in error.__notes__[0]
    assert cancels(dli) == 0


def test_a_trigger_that_failed_leaves_the_job_to_the_next_try(dli: Emulator) -> None:
    run = begun(dli, retries=1)

    failed(spark(retries=1), run, "Trigger failure")

    assert cancels(dli) == 0


def test_a_wrong_argument_ends_the_job_of_an_earlier_try_although_tries_are_left(
    dli: Emulator,
) -> None:
    """No further try comes, since the task fails for good."""
    run = begun(dli, retries=2)

    with pytest.raises(AirflowFailException, match="poll_interval"):
        spark(retries=2, poll_interval=-1).execute(context(retried(run)))

    assert job(dli)["state"] == "dead"


@pytest.mark.parametrize(("policy", "cancelled"), [("cancel", 1), ("leave", 0)])
def test_a_trigger_that_failed_for_good_ends_the_job_as_told(
    dli: Emulator, policy: Any, cancelled: int
) -> None:
    run = begun(dli)

    failed(spark(on_failure=policy), run, "Trigger failure")

    assert cancels(dli) == cancelled


def test_a_job_of_before_a_clear_that_was_taken_over_is_cancelled_too(dli: Emulator) -> None:
    run = cleared(begun(dli))
    spark(on_clear="reattach", wait_for_completion=False).execute(context(run))

    failed(spark(on_clear="reattach"), run)

    assert submissions(dli) == 1
    assert job(dli)["state"] == "dead"


def test_the_error_of_airflow_stays_what_it_is_when_the_job_cannot_be_cancelled(
    dli: Emulator,
) -> None:
    run = begun(dli)
    dli.add_fault(Fault("forbidden", path="/batches*", times=None))

    error = failed(spark(), run)

    assert isinstance(error, DeferralTimeout)
    assert "could not be cancelled" in error.__notes__[0]


def test_an_error_stays_what_it_is_when_the_connection_is_gone(
    dli: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = retried(begun(dli, retries=1))
    monkeypatch.delenv("AIRFLOW_CONN_DLI_DEFAULT")
    operator = spark(retries=1)
    operator.hook = DliHook(clock=FakeClock())

    with pytest.raises(AirflowNotFoundException) as caught:
        operator.execute(context(run))

    assert "its connection cannot be read (AirflowNotFoundException)" in caught.value.__notes__[0]
