"""Spark jobs that no task waits for, against the emulator and a real database of Airflow."""

from __future__ import annotations

import io
import json
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pytest
from conftest import connection

from airflow_provider_dli.__main__ import main
from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.jobs.names import Owner
from airflow_provider_dli.commands.task_instances import Submitter, TaskKey
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.operators.spark import SparkBatchOperator

IS_2 = version("apache-airflow").startswith("2.")

# A whole Airflow runs here, and what it and its libraries warn about is theirs.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:::airflow_provider_dli"),
]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running() as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def shell(emulator: Emulator, database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture
def orphans(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    def run(*arguments: str) -> dict[str, Any]:
        """Run the command with `--json`, and give what it printed."""
        status = main(["jobs", "orphans", "--json", *arguments])
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed | {"status": status}

    return run


class Task:
    """A task instance in Airflow's database, in its first try, and the job that it submitted."""

    def __init__(self, emulator: Emulator, state: str | None = "running", *, index: int = -1):
        self.emulator = emulator
        self.dag_id = f"dag-{uuid.uuid4()}"
        self.index = index
        self.generation = 0
        self._add(state)
        self.job = self.submit()

    def submit(self, state: str = "running", **changes: Any) -> str:
        """Submit a job of the present generation; gives its id."""
        told = {
            "dag_id": self.dag_id,
            "task_id": "count",
            "run_id": "once",
            "map_index": str(self.index),
            "try_number": "1",
            "generation": str(self.generation),
        } | changes
        conf = {f"spark.airflow.{name}": value for name, value in told.items()}
        return self.emulator.add_batch({"name": self.dag_id, "conf": conf}, state)

    def set(self, state: str | None) -> None:
        """Give the task instance another state."""
        with session() as database:
            self._row(database).state = state

    def clear(self) -> None:
        """Clear it as a user does."""
        from airflow.models.taskinstance import clear_task_instances

        with session() as database:
            row = self._row(database)
            clear_task_instances([row], database)
            database.flush()
            self.generation = row.max_tries

    def _row(self, database: Any) -> Any:
        from airflow.models.taskinstance import TaskInstance

        return database.query(TaskInstance).filter_by(dag_id=self.dag_id).one()

    def _add(self, state: str | None) -> None:
        from airflow.models.dagrun import DagRun
        from airflow.models.taskinstance import TaskInstance
        from airflow.providers.common.compat.sdk import DAG, BaseOperator
        from airflow.utils.types import DagRunType

        now = datetime.now(UTC)
        times = {"execution_date": now} if IS_2 else {"logical_date": now, "run_after": now}
        with DAG(self.dag_id, schedule=None):
            operator = BaseOperator(task_id="count")
        with session() as database:
            database.add(
                DagRun(
                    dag_id=self.dag_id,
                    run_id="once",
                    run_type=DagRunType.MANUAL,
                    state="running",
                    **times,
                )
            )
            database.flush()
            added = {} if IS_2 else {"dag_version_id": None}
            row = TaskInstance(operator, run_id="once", map_index=self.index, **added)
            row.state, row.try_number, row.max_tries = state, 1, 0
            database.add(row)


def session() -> Any:
    from airflow.utils.session import create_session

    return create_session()


def found(result: dict[str, Any]) -> dict[str, str]:
    return {orphan["id"]: orphan["reason"] for orphan in result["orphans"]}


@pytest.mark.parametrize(
    "state",
    [
        None,
        "scheduled",
        "queued",
        "running",
        "restarting",
        "deferred",
        "up_for_retry",
        "up_for_reschedule",
    ],
)
def test_a_job_whose_task_goes_on_is_no_orphan(
    emulator: Emulator, orphans: Any, state: str | None
) -> None:
    Task(emulator, state)

    result = orphans()

    assert (result["status"], result["orphans"], result["awaited"]) == (0, [], 1)


@pytest.mark.parametrize("state", ["failed", "skipped", "upstream_failed", "removed"])
def test_a_job_whose_task_is_finished_is_an_orphan(
    emulator: Emulator, orphans: Any, state: str
) -> None:
    task = Task(emulator, state)

    result = orphans()

    assert result["status"] == 1
    assert found(result) == {task.job: "finished"}
    assert result["orphans"][0]["why"] == f"the task is {state}"
    assert result["orphans"][0]["task"]["dag_id"] == task.dag_id


def test_a_job_of_a_state_that_nobody_knows_is_one_too(emulator: Emulator, orphans: Any) -> None:
    task = Task(emulator, "failed")
    emulator.set_batch_state(task.job, "paused")

    assert found(orphans()) == {task.job: "finished"}


def test_a_job_that_has_ended_is_none(emulator: Emulator, orphans: Any) -> None:
    task = Task(emulator, "failed")
    emulator.set_batch_state(task.job, "Dead")

    assert orphans()["orphans"] == []


def test_a_job_from_before_a_clear_is_an_orphan_and_the_new_one_is_none(
    emulator: Emulator, orphans: Any
) -> None:
    task = Task(emulator, "failed")
    task.clear()
    task.submit()
    task.set("running")

    result = orphans()

    assert found(result) == {task.job: "cleared"}
    assert result["awaited"] == 1


def test_a_task_that_is_cleared_while_it_runs_takes_its_job_up_again(
    emulator: Emulator, orphans: Any
) -> None:
    task = Task(emulator, None if IS_2 else "running")
    if IS_2:
        # Only one that a local job runs is restarted there.
        task.set("restarting")
    else:
        task.clear()

    assert orphans()["orphans"] == []


def test_a_job_that_tells_no_generation_belongs_to_each(emulator: Emulator, orphans: Any) -> None:
    task = Task(emulator, "failed")
    reattached = task.submit(generation="")
    task.clear()
    task.set("running")

    assert reattached not in found(orphans())


@pytest.mark.parametrize(("on_clear", "generation"), [("resubmit", "0"), ("reattach", None)])
def test_the_operator_tells_a_generation_unless_its_jobs_outlive_a_clear(
    emulator: Emulator, on_clear: Any, generation: str | None
) -> None:
    operator = SparkBatchOperator(
        task_id="count",
        file="obs://bucket/a.py",
        queue_name="q",
        spark_version="3.3.1",
        execution_agency_urn="agency",
        on_clear=on_clear,
        wait_for_completion=False,
    )

    operator.execute({})

    (job,) = emulator.batches().values()
    conf = json.loads(job["req_body"])["conf"]
    assert conf["spark.airflow.task_id"] == "count"
    assert conf.get("spark.airflow.generation") == generation


def test_what_an_owner_tells_is_read_again() -> None:
    owner = Owner("label", "dag", "task", "run", 3, try_number=2, generation=4)

    told = Submitter.of(SparkBatch(id="a", request={"conf": owner.conf}))

    assert told == Submitter(TaskKey("dag", "task", "run", 3), "4")


def test_each_task_instance_of_a_mapped_task_is_looked_at(emulator: Emulator, orphans: Any) -> None:
    task = Task(emulator, "failed", index=2)
    other = task.submit(map_index="3")

    result = orphans()

    assert found(result) == {task.job: "finished", other: "absent"}
    assert {orphan["task"]["map_index"] for orphan in result["orphans"]} == {2, 3}


def test_jobs_that_no_task_submitted_are_only_counted(emulator: Emulator, orphans: Any) -> None:
    task = Task(emulator, "running")
    emulator.add_batch({"name": "console"})
    task.submit(dag_id="")
    task.submit(map_index="first")
    emulator.add_batch({"name": "e", "conf": ["spark.airflow.dag_id=a"]})

    result = orphans()

    assert (result["status"], result["orphans"]) == (0, [])
    assert (result["awaited"], result["foreign"], result["untold"]) == (1, 4, 0)


def test_a_request_that_the_listing_leaves_out_is_asked_for(
    emulator: Emulator, orphans: Any
) -> None:
    conf = {
        "spark.airflow.dag_id": "no-such-dag",
        "spark.airflow.task_id": "t",
        "spark.airflow.run_id": "r",
    }
    hidden = emulator.add_batch({"name": "a", "conf": conf}, listed=False)

    assert found(orphans()) == {hidden: "absent"}


def test_a_job_of_which_nothing_is_told_is_counted(
    emulator: Emulator, orphans: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.add_batch(None)

    assert orphans()["untold"] == 1
    assert main(["jobs", "orphans"]) == 0
    assert "1 whose request DLI does not show" in capsys.readouterr().out


def test_a_job_that_ended_before_its_task_is_no_orphan(emulator: Emulator, orphans: Any) -> None:
    task = Task(emulator, "failed")
    ended = {"id": task.job, "state": "dead"}
    emulator.add_fault(Fault(path=f"/batches/{task.job}", status=200, body=ended))

    result = orphans()

    assert (result["status"], result["orphans"], result["awaited"]) == (0, [], 0)


def test_a_look_changes_nothing(emulator: Emulator, orphans: Any) -> None:
    Task(emulator, "failed")

    result = orphans()

    assert result["cancelled"] == []
    assert {record.method for record in emulator.requests} == {"GET"}


def test_orphans_are_cancelled_and_the_doubtful_left(emulator: Emulator, orphans: Any) -> None:
    failed, succeeded, awaited = (
        Task(emulator, state) for state in ("failed", "success", "running")
    )
    absent = failed.submit(run_id="of-another-airflow")

    result = orphans("--cancel", "--yes")

    assert result["status"] == 0
    assert found(result) == {
        failed.job: "finished",
        succeeded.job: "succeeded",
        absent: "absent",
    }
    assert [(one["id"], one["result"]) for one in result["cancelled"]] == [
        (failed.job, "cancelled")
    ]
    assert {
        job["state"]
        for id, job in emulator.batches().items()
        if id in {succeeded.job, absent, awaited.job}
    } == {"running"}


@pytest.mark.parametrize("reason", ["absent", "succeeded"])
def test_the_doubtful_are_cancelled_when_named(
    emulator: Emulator, orphans: Any, reason: str
) -> None:
    task = Task(emulator, "success")
    doubtful = {"succeeded": task.job, "absent": task.submit(run_id="of-another-airflow")}

    result = orphans("--cancel", "--yes", "--also", reason)

    assert [one["id"] for one in result["cancelled"]] == [doubtful[reason]]


def test_a_task_that_is_cleared_before_the_answer_keeps_its_job(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    task = Task(emulator, "failed")

    class Keyboard:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            task.set("up_for_retry")
            return "yes\n"

    given = sys.stdin
    try:
        sys.stdin = Keyboard()
        status = main(["jobs", "orphans", "--cancel"])
    finally:
        sys.stdin = given

    printed = capsys.readouterr()
    assert status == 1
    assert f"Cancel 1 job of project {emulator.project_id}? [y/N] " in printed.err
    assert "left: its task has changed" in printed.out
    assert {record.method for record in emulator.requests} == {"GET"}


def test_a_table_tells_why(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    task = Task(emulator, "failed")

    assert main(["jobs", "orphans"]) == 1

    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if task.job in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[3:] == [f"{task.dag_id}.count once", "finished", "the task is failed"]
    assert out.endswith(
        "\nActive jobs: 1 that no task waits for, 0 that one does, "
        "0 that no task of this package submitted\n"
    )


def test_a_table_tells_how_to_cancel_the_doubtful(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    Task(emulator, "success")

    assert main(["jobs", "orphans", "--cancel", "--yes"]) == 0

    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "Succeeded: 1, cancelled only with --also succeeded"


def test_what_ends_while_it_is_looked_at_is_no_orphan(emulator: Emulator, orphans: Any) -> None:
    hidden = emulator.add_batch({"name": "a"}, listed=False)
    absent = {"error_code": "DLI.0002", "error_msg": "not found"}
    emulator.add_fault(Fault(path=f"/batches/{hidden}", status=400, body=absent))

    result = orphans()

    assert (result["status"], result["orphans"], result["foreign"]) == (0, [], 0)


def test_an_answer_other_than_yes_cancels_nothing(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    class Keyboard(io.StringIO):
        def isatty(self) -> bool:
            return True

    Task(emulator, "failed")
    given = sys.stdin
    try:
        sys.stdin = Keyboard("no\n")
        status = main(["jobs", "orphans", "--cancel"])
    finally:
        sys.stdin = given

    assert status == 1
    assert {record.method for record in emulator.requests} == {"GET"}


@pytest.fixture
def no_tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let Airflow look into a database in which it has no tables."""
    from airflow import settings
    from sqlalchemy import create_engine

    monkeypatch.setenv(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "postgresql://canary:canary@db.example/airflow?sslpassword=canary",
    )
    empty = create_engine("sqlite://")
    settings.Session.remove()
    settings.Session.configure(bind=empty)
    yield
    settings.Session.remove()
    settings.Session.configure(bind=settings.engine)
    empty.dispose()


def test_without_its_database_the_way_out_is_told_and_no_secret(
    emulator: Emulator, orphans: Any, no_tables: None
) -> None:
    conf = {f"spark.airflow.{name}": "a" for name in ("dag_id", "task_id", "run_id")}
    emulator.add_batch({"name": "a", "conf": conf})

    result = orphans()

    assert (result["status"], result["error"]) == (1, "DliError")
    assert result["message"].startswith(
        "Airflow's database cannot be read (OperationalError of postgresql at db.example/airflow), "
    )
    assert "airflow db check" in result["message"]
    assert "canary" not in result["message"]
