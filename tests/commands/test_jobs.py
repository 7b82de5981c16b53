"""Spark jobs from a shell: list, log and cancel, against the emulator."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import pytest
from conftest import connection
from fake_clock import FakeClock, SkippingClock

from airflow_provider_dli.__main__ import main
from airflow_provider_dli.api.jobs.models import BatchState
from airflow_provider_dli.api.jobs.spark_job import SparkJob
from airflow_provider_dli.commands.jobs import STATES
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.hooks.dli import DliHook

ABSENT = "00000000-0000-0000-0000-000000000000"
OF_A_TASK = {
    "spark.airflow.dag_id": "daily",
    "spark.airflow.task_id": "count",
    "spark.airflow.run_id": "scheduled__2026-11-21",
    "spark.airflow.map_index": "3",
    "spark.airflow.try_number": "1",
    "spark.airflow.generation": "0",
    "spark.hadoop.secret": "canary",
}


@pytest.fixture
def clock() -> FakeClock:
    return SkippingClock()


@pytest.fixture
def emulator(clock: FakeClock) -> Iterator[Emulator]:
    with running(clock=clock.now) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def shell(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a connection to the emulator, a wide terminal, and nobody at the keyboard."""
    monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def jobs(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    def run(*arguments: str) -> dict[str, Any]:
        """Run a command with `--json`, and give what it printed."""
        capsys.readouterr()
        status = main(["jobs", *arguments, "--json"])
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed | {"status": status}

    return run


class Keyboard(io.StringIO):
    """A terminal in which somebody has typed."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    given = sys.stdin

    def typed(text: str) -> None:
        sys.stdin = Keyboard(text)

    yield typed
    sys.stdin = given


def in_a_process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_dli", "jobs", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def submitted() -> str:
    with DliHook() as hook:
        job = SparkJob(file="obs://bucket/a.py", spark_version="3.3.1", queue="q", name="a")
        return hook.submit_batch(job).batch.id


def twice(emulator: Emulator) -> str:
    """Give the id of a job whose driver was started again."""
    batch_id = emulator.add_batch({"name": "a"}, "running")
    emulator.write_batch_log(batch_id, ["first"])
    emulator.set_batch_state(batch_id, "recovering")
    emulator.set_batch_state(batch_id, "running")
    emulator.write_batch_log(batch_id, ["second"])
    return batch_id


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_a_list_shows_each_job_with_its_task(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    request = {"name": "daily-count", "queue": "q", "conf": OF_A_TASK}
    batch_id = emulator.add_batch(request, "running")

    assert main(["jobs", "list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    (row,) = [cells(line) for line in lines if batch_id in line]
    assert row[:2] == [batch_id, "running"]
    assert row[4:] == ["q", "daily.count[3] scheduled__2026-11-21"]
    assert lines[-1] == "1 job"


def test_a_list_shows_nothing_else_of_a_request(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.add_batch({"name": "a", "conf": OF_A_TASK, "args": ["canary"]})

    assert main(["jobs", "list"]) == 0
    assert main(["jobs", "list", "--json"]) == 0

    assert "canary" not in capsys.readouterr().out


def test_a_list_in_a_pipe_cuts_nothing(
    emulator: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    name = "n" * 100
    batch_id = emulator.add_batch({"name": name, "queue": "q"})

    assert main(["jobs", "list"]) == 0

    (line,) = [line for line in capsys.readouterr().out.splitlines() if batch_id in line]
    assert name in line


def test_a_name_is_no_markup(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    emulator.add_batch({"name": "[bold]a[/]"})

    assert main(["jobs", "list"]) == 0

    assert " [bold]a[/] " in capsys.readouterr().out


def test_a_list_tells_names_states_and_tasks_as_json(emulator: Emulator, jobs: Any) -> None:
    emulator.add_batch({"name": "a", "conf": OF_A_TASK}, "Success")
    emulator.add_batch({"name": "b", "conf": ["nothing", "to", "read"]}, "paused")

    result = jobs("list")

    assert (result["status"], result["total"]) == (0, 2)
    found = {job["name"]: job for job in result["jobs"]}
    assert found["a"]["state"] == "success"
    assert found["a"]["task"] == {
        "dag_id": "daily",
        "task_id": "count",
        "run_id": "scheduled__2026-11-21",
        "map_index": 3,
    }
    assert found["b"]["state"] == "unknown"
    assert found["b"]["task"] is None


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), {"a", "b", "c", "d"}),
        (("--name", "a"), {"a"}),
        (("--queue", "q2"), {"c"}),
        (("--state", "dead"), {"c"}),
        (("--state", "unknown"), {"d"}),
        (("--active",), {"a", "d"}),
        (("--active", "--queue", "q1"), {"a"}),
    ],
)
def test_a_list_is_narrowed(
    emulator: Emulator, jobs: Any, arguments: tuple[str, ...], names: set[str]
) -> None:
    emulator.add_batch({"name": "a", "queue": "q1"}, "running")
    emulator.add_batch({"name": "b", "queue": "q1"}, "Success")
    emulator.add_batch({"name": "c", "queue": "q2"}, "DEAD")
    emulator.add_batch({"name": "d"}, "paused")

    assert {job["name"] for job in jobs("list", *arguments)["jobs"]} == names


def test_what_dli_does_not_tell_is_left_blank(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {"total": 1, "sessions": [{"id": ABSENT}]}
    emulator.add_fault(Fault(path="/batches", status=200, body=body))

    assert main(["jobs", "list"]) == 0

    (line,) = [line for line in capsys.readouterr().out.splitlines() if ABSENT in line]
    assert cells(line)[1:] == ["-"] * 5


def test_a_limit_keeps_the_newest_and_tells_of_the_rest(
    emulator: Emulator, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.add_batch({"name": "old"})
    clock.sleep(1)
    emulator.add_batch({"name": "new"})

    assert main(["jobs", "list", "--limit", "1"]) == 0

    out = capsys.readouterr().out
    assert " new " in out
    assert " old " not in out
    assert out.endswith("1 job, 2 in all\n")


def test_the_states_to_ask_for_are_those_of_dli() -> None:
    assert {state.value for state in BatchState} == set(STATES)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["show"],
        ["list", "--state", "walking"],
        ["list", "--limit", "0"],
        ["list", "--limit", "ten"],
        ["log"],
        ["log", ABSENT, "--index", "-1"],
        ["log", ABSENT, "--interval", "0"],
        ["log", ABSENT, "--interval", "nan"],
        ["cancel"],
        ["orphans", "--also", "cleared"],
    ],
)
def test_a_wrong_use_is_told_before_anything_is_asked(
    emulator: Emulator, arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["jobs", *arguments])

    assert end.value.code == 2
    assert emulator.requests == []


def test_a_missing_connection_is_told(jobs: Any) -> None:
    result = jobs("list", "--conn-id", "no_such_connection")

    assert (result["status"], result["error"]) == (1, "AirflowNotFoundException")
    assert "no_such_connection" in result["message"]


def test_an_error_goes_to_the_other_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["jobs", "list", "--queue", ""]) == 1

    printed = capsys.readouterr()
    assert printed.out == ""
    assert "InputError: queue is ''" in printed.err


def test_a_job_is_cancelled_and_has_ended(emulator: Emulator, jobs: Any) -> None:
    batch_id = emulator.add_batch({"name": "a"}, "running")

    result = jobs("cancel", batch_id, "--yes")

    assert result["status"] == 0
    assert result["jobs"] == [
        {"id": batch_id, "result": "cancelled", "is_done": True, "state": "dead", "name": "a"}
    ]


def test_what_has_ended_or_is_unknown_counts_as_done(emulator: Emulator, jobs: Any) -> None:
    ended = emulator.add_batch({"name": "a"}, "success")

    result = jobs("cancel", ended, ABSENT)

    assert result["status"] == 0
    assert [job["result"] for job in result["jobs"]] == [
        "had ended already",
        "DLI does not know it",
    ]
    assert {record.method for record in emulator.requests} == {"GET"}


@pytest.mark.parametrize(
    ("after", "result", "status"),
    [
        ("running", "still active, though DLI accepted the cancel", 1),
        ("paused", "still active, though DLI accepted the cancel", 1),
        ("success", "ended by itself", 0),
    ],
)
def test_what_became_of_a_cancelled_job_is_told_as_it_is(
    emulator: Emulator, jobs: Any, after: str, result: str, status: int
) -> None:
    emulator.set_batch_timeline("*", [(0, "running"), (0.2, after)])
    batch_id = submitted()
    emulator.add_fault(Fault(method="DELETE", status=200, body={"msg": "deleted"}))

    printed = jobs("cancel", batch_id, "--yes", "--timeout", "0.8")

    assert printed["status"] == status
    assert [(job["result"], job["state"]) for job in printed["jobs"]] == [(result, after)]


def test_a_job_that_is_forgotten_while_it_is_cancelled_is_done(
    emulator: Emulator, jobs: Any
) -> None:
    batch_id = emulator.add_batch({"name": "a"}, "running")
    absent = {"error_code": "DLI.0002", "error_msg": "not found"}
    emulator.add_fault(Fault(path=f"/batches/{batch_id}", skip=1, times=2, status=400, body=absent))

    printed = jobs("cancel", batch_id, "--yes")

    assert printed["status"] == 0
    assert printed["jobs"][0]["result"] == "DLI no longer has a record of it"


def test_a_job_that_cannot_be_cancelled_keeps_no_other_from_it(
    emulator: Emulator, jobs: Any
) -> None:
    first = emulator.add_batch({"name": "a"}, "running")
    second = emulator.add_batch({"name": "b"}, "running")
    emulator.add_fault(Fault(method="DELETE", path=f"*{first}", status=403, times=1))

    result = jobs("cancel", first, second, "not-an-id", "--yes")

    assert result["status"] == 1
    assert [job["is_done"] for job in result["jobs"]] == [False, True, False]
    assert result["jobs"][0]["result"].startswith("PermissionDeniedError: ")


def test_a_question_comes_before_a_cancel(
    emulator: Emulator, typing: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    batch_id = emulator.add_batch({"name": "a"}, "running")
    typing("y\n")

    assert main(["jobs", "cancel", batch_id]) == 0

    printed = capsys.readouterr()
    question = f"Cancel {batch_id} (a, running) of project {emulator.project_id}? [y/N] "
    assert question in printed.err
    assert cells(printed.out.splitlines()[3])[2:] == ["dead", "cancelled"]


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_any_other_answer_leaves_the_job_alone(
    emulator: Emulator,
    typing: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    answer: str,
) -> None:
    batch_id = emulator.add_batch({"name": "a"}, "running")
    typing(answer)

    assert main(["jobs", "cancel", batch_id]) == 1

    assert "not cancelled" in capsys.readouterr().out
    assert {record.method for record in emulator.requests} == {"GET"}


def test_without_a_terminal_nothing_is_cancelled_unasked(emulator: Emulator, jobs: Any) -> None:
    batch_id = emulator.add_batch({"name": "a"}, "running")

    result = jobs("cancel", batch_id)

    assert (result["status"], result["error"]) == (1, "InputError")
    assert "--yes" in result["message"]
    assert {record.method for record in emulator.requests} == {"GET"}


@pytest.mark.parametrize(("count", "first"), [(5, 245), (100, 150), (200, 50), (999, 0)])
@pytest.mark.parametrize("index", [(), ("--index", "0")])
def test_the_last_lines_of_a_log_are_printed(
    emulator: Emulator,
    capsys: pytest.CaptureFixture[str],
    count: int,
    first: int,
    index: tuple[str, ...],
) -> None:
    batch_id = emulator.add_batch({"name": "a"}, "running")
    emulator.write_batch_log(batch_id, [f"line {number}" for number in range(250)])

    assert main(["jobs", "log", batch_id, "--lines", str(count), *index]) == 0

    expected = [f"line {number}" for number in range(first, 250)]
    assert capsys.readouterr().out.splitlines() == expected


def test_a_log_goes_through_all_runs_of_the_driver(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    batch_id = twice(emulator)

    assert main(["jobs", "log", batch_id]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines == ["first", "… the driver was restarted: run 2", "second"]


@pytest.mark.parametrize(("index", "line"), [("0", "first"), ("1", "second")])
def test_a_log_of_one_run_is_printed(
    emulator: Emulator, capsys: pytest.CaptureFixture[str], index: str, line: str
) -> None:
    batch_id = twice(emulator)

    assert main(["jobs", "log", batch_id, "--index", index]) == 0

    assert capsys.readouterr().out == f"{line}\n"


def test_an_empty_log_is_told_beside_it(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    batch_id = emulator.add_batch({"name": "a"}, "starting")

    assert main(["jobs", "log", batch_id]) == 0

    printed = capsys.readouterr()
    assert printed.out == ""
    assert "The log is still empty." in printed.err


@pytest.mark.parametrize("arguments", [(), ("--follow",), ("--index", "0")])
def test_the_log_of_an_unknown_job_is_an_error_at_once(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert main(["jobs", "log", ABSENT, *arguments]) == 1

    assert "NotFoundError: " in capsys.readouterr().err


def test_following_one_run_only_is_refused(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "log", ABSENT, "--follow", "--index", "0"]) == 1

    assert "InputError: --index is 0: " in capsys.readouterr().err
    assert emulator.requests == []


@pytest.mark.parametrize(("state", "status"), [("success", 0), ("dead", 1)])
def test_a_log_is_followed_until_the_job_ends(
    emulator: Emulator, capsys: pytest.CaptureFixture[str], state: str, status: int
) -> None:
    emulator.set_batch_timeline(
        "*", [(0, "running"), (0.4, state)], [(0, "early"), (0.2, "later"), (0.4, "last")]
    )
    batch_id = submitted()
    capsys.readouterr()

    assert main(["jobs", "log", batch_id, "--follow", "--interval", "0.1"]) == status

    assert capsys.readouterr().out.splitlines() == ["early", "later", "last"]


@pytest.mark.usefixtures("interruptible")
def test_following_is_interrupted_politely(emulator: Emulator) -> None:
    batch_id = emulator.add_batch({"name": "a"}, "running")
    emulator.write_batch_log(batch_id, ["early"])

    with in_a_process("log", batch_id, "--follow") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()

    assert first == "early\n"
    assert process.returncode == 130
    assert told.endswith("Interrupted.\n")
    assert "Traceback" not in told
    assert emulator.batches()[batch_id]["state"] == "running"


def test_who_reads_only_the_head_ends_the_log(emulator: Emulator) -> None:
    batch_id = emulator.add_batch({"name": "a"}, "running")
    emulator.write_batch_log(batch_id, ["x" * 1000] * 1000)

    with in_a_process("log", batch_id, "--lines", "1000") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read()

    assert process.returncode == 141
    assert "BrokenPipe" not in told


def test_a_reader_that_is_gone_is_no_error(emulator: Emulator) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    given = sys.stdout
    with os.fdopen(writing, "w") as pipe:
        try:
            sys.stdout = pipe
            status = main(["jobs", "list", "--json"])
        finally:
            sys.stdout = given

    assert status == 141


def test_an_interrupt_at_the_question_cancels_nothing(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(Keyboard):
        def readline(self, size: int | None = -1) -> str:
            raise KeyboardInterrupt

    batch_id = emulator.add_batch({"name": "a"}, "running")
    given = sys.stdin
    try:
        sys.stdin = Interrupted()
        status = main(["jobs", "cancel", batch_id])
    finally:
        sys.stdin = given

    assert status == 130
    assert capsys.readouterr().err.endswith("Interrupted.\n")
    assert {record.method for record in emulator.requests} == {"GET"}


def test_airflow_offers_the_group(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    if tuple(map(int, version("apache-airflow").split(".")[:2])) < (3, 2):
        pytest.skip("commands of providers are new in Airflow 3.2")
    from airflow.cli.cli_parser import get_parser

    options = get_parser().parse_args(["dli", "jobs", "list", "--json"])

    with pytest.raises(SystemExit) as end:
        options.func(options)

    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out)["jobs"] == []
