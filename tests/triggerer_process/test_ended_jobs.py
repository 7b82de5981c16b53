"""Tasks are ended by users, by Airflow, and by the end of their processes: what their jobs see."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator

import psutil
import pytest
from conftest import connection
from triggerer_process.stage import HERE, IS_AIRFLOW_2, staged
from triggerer_process.whole import Run, Whole

from airflow_provider_dli.emulator import Emulator, Fault, running

pytestmark = pytest.mark.filterwarnings("ignore")

tells_triggers = pytest.mark.skipif(
    IS_AIRFLOW_2, reason="from Airflow 3.3 on a trigger is told that its task was ended"
)

Begin = Callable[..., Run]


@pytest.fixture(scope="module")
def dli() -> Iterator[Emulator]:
    """An emulator whose jobs run until they are told otherwise."""
    with running() as emulator:
        emulator.set_batch_timeline("*", [(0, "running")])
        yield emulator


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, dli: Emulator) -> Iterator[Whole]:
    """One Airflow for all tests: it takes long to start."""
    home = tmp_path_factory.mktemp("whole") / "airflow"
    with staged(home, connection(dli, read_timeout=30)) as stage:
        stage.read_dags(HERE / "dags" / "jobs.py")
        airflow = Whole(stage)
        yield airflow
        airflow.close()


@pytest.fixture
def begin(
    airflow: Whole, dli: Emulator, request: pytest.FixtureRequest
) -> Iterator[Callable[[str, str], Run]]:
    """Start a run of a DAG and wait until its task is in a state, with its job submitted."""
    dli.clear_faults()

    def start(dag_id: str, state: str) -> Run:
        run = Run(airflow, dli, dag_id, re.sub(r"\W+", "-", request.node.name))
        run.start()
        run.until("the job is submitted", lambda: run.jobs)
        run.until_state(state)
        if state == "deferred":
            # Before that Airflow calls nobody who could end the job.
            run.until_waiting()
        return run

    yield start
    dli.clear_faults()


def finish(run: Run) -> None:
    """Make the last job of a run succeed, and its task with it."""
    run.dli.set_batch_state(run.jobs[-1]["id"], "success")
    run.until_state("success")


# By a user


@tells_triggers
@pytest.mark.parametrize(("state", "slowness"), [("failed", 2.0), ("success", 8.0)])
def test_a_deferred_task_that_is_marked_cancels_its_job_once(
    begin: Begin, dli: Emulator, state: str, slowness: float
) -> None:
    run = begin("deferred", "deferred")
    (job,) = run.jobs
    dli.add_fault(Fault("hang", seconds=slowness, method="DELETE", path=f"/batches/{job['id']}"))

    run.mark(state)

    run.until_dead(job)
    assert run.cancels(job) == 1
    assert run.of_task("state") == state


@tells_triggers
def test_a_deferred_task_that_is_marked_may_leave_its_job(begin: Begin) -> None:
    run = begin("deferred-left", "deferred")

    run.mark("failed")

    run.until("its trigger ends", lambda: run.lines("trigger completed"))
    (job,) = run.jobs
    assert run.cancels(job) == 0
    assert job["state"] == "running"


@tells_triggers
def test_a_deferred_task_that_is_cleared_ends_the_old_job_and_keeps_the_new_one(
    begin: Begin,
) -> None:
    run = begin("deferred", "deferred")

    run.clear()

    run.until("a new job", lambda: len(run.jobs) == 2)
    old, new = run.jobs
    run.until_dead(old)
    run.until_waiting(workers=2)
    assert run.jobs[-1]["state"] == "running"
    assert run.cancels(new) == 0
    finish(run)
    assert len(run.jobs) == 2


def test_a_task_that_is_marked_while_it_polls_cancels_its_job_once(begin: Begin) -> None:
    run = begin("polled", "running")
    (job,) = run.jobs

    run.mark("failed")

    run.until_dead(job)
    until_gone(run)
    assert run.cancels(job) == 1
    assert run.of_task("state") == "failed"


def test_a_task_that_is_marked_while_it_polls_may_leave_its_job(begin: Begin) -> None:
    run = begin("polled-left", "running")

    run.mark("failed")

    until_gone(run)
    (job,) = run.jobs
    assert run.cancels(job) == 0
    assert job["state"] == "running"


def test_a_task_that_is_marked_before_its_submission_has_an_answer_leaves_no_job(
    airflow: Whole, dli: Emulator
) -> None:
    dli.add_fault(Fault("hang", seconds=3.0, method="POST"))
    run = Run(airflow, dli, "polled", "unanswered")
    run.start()
    run.until("it submits", lambda: dli.faults.as_json()[0]["hit"])

    run.mark("failed")

    run.until("the job is there", lambda: run.jobs)
    (job,) = run.jobs
    run.until_dead(job)
    until_gone(run)


# By the end of a process


def test_a_task_whose_worker_was_killed_reconnects_to_its_job(begin: Begin, dli: Emulator) -> None:
    run = begin("polled", "running")
    (job,) = run.jobs
    looks = len(dli.requests)
    run.until("it polls", lambda: len(dli.requests) > looks)

    for process in workers(run):
        process.kill()
    run.until("the next try", lambda: run.of_task("try_number") == 2, seconds=60)
    run.until_state("running")
    finish(run)

    assert run.jobs == [dli.batches()[job["id"]]]
    assert run.cancels(job) == 0


def test_an_event_that_no_worker_has_seen_outlives_its_triggerer(
    begin: Begin, airflow: Whole, dli: Emulator
) -> None:
    run = begin("deferred", "deferred")
    (job,) = run.jobs

    with airflow.stage.frozen(airflow.scheduler):
        dli.set_batch_state(job["id"], "success")
        run.until("the event is stored", lambda: run.of_task("trigger_id") is None)
        airflow.triggerer.kill()
        airflow.triggerer = airflow.stage.start_triggerer()
    run.until_state("success")

    assert len(run.jobs) == 1
    assert run.cancels(job) == 0


@pytest.mark.skipif(IS_AIRFLOW_2, reason="there a worker asks no server")
def test_a_worker_that_waits_for_airflow_can_cancel_its_job(airflow: Whole, dli: Emulator) -> None:
    dli.clear_faults()
    dli.add_fault(Fault("hang", seconds=1.0, method="POST"))
    run = Run(airflow, dli, "polled", "waiting")
    run.start()
    run.until("it submits", lambda: dli.faults.as_json()[0]["hit"])
    assert airflow.server

    with airflow.stage.frozen(airflow.server):
        run.until("the job is there", lambda: run.jobs)
        (job,) = run.jobs
        os.kill(run.of_task("pid"), signal.SIGTERM)
        run.until_dead(job, seconds=4)
    run.until("the next try", lambda: len(run.jobs) == 2)
    finish(run)


# By Airflow


def test_a_deferral_that_times_out_cancels_the_job_once(airflow: Whole, dli: Emulator) -> None:
    run = Run(airflow, dli, "deferred", "timed-out")
    with airflow.stage.frozen(airflow.triggerer):
        run.start()
        run.until_state("deferred")
        run.until_heard_of(workers=1)
        (job,) = run.jobs

        # The limit is two minutes after the task's own at least: those are over.
        airflow.stage.write(
            "UPDATE task_instance SET trigger_timeout = '2026-01-01 00:00:00'"
            " WHERE state = 'deferred'"
        )

        run.until_dead(job)
        run.until("a new job", lambda: len(run.jobs) == 2)
    # One deferred, one was told of the timeout, one deferred again.
    run.until_waiting(workers=3)
    finish(run)
    assert run.cancels(job) == 1


def workers(run: Run) -> list[psutil.Process]:
    """Returns the processes that execute the task."""
    try:
        first = psutil.Process(run.of_task("pid"))
        return [*first.children(recursive=True), first]
    except psutil.NoSuchProcess:
        return []


def until_gone(run: Run) -> None:
    """Wait until no process executes the task any more."""
    run.until("its process is gone", lambda: not workers(run))
