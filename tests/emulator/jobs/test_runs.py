# SPDX-License-Identifier: Apache-2.0
"""A batch job is handed to a runner, which tells how it goes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from airflow_provider_dli.emulator import running
from airflow_provider_dli.emulator.jobs.runs import Report
from airflow_provider_dli.emulator.messages import JsonObject


@dataclass
class Recorder:
    """Runs nothing, and keeps what it was asked to."""

    jobs: dict[str, tuple[JsonObject, Report]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    closed: int = 0

    def start(self, batch_id: str, request: JsonObject, report: Report) -> None:
        self.jobs[batch_id] = (request, report)

    def cancel(self, batch_id: str) -> None:
        self.cancelled.append(batch_id)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def runner(emulator):
    emulator.runner = Recorder()
    return emulator.runner


@pytest.fixture
def submit(api, runner):
    """Submits a job; gives its id, its request as the runner got it, and its report."""

    def submit(**fields):
        batch_id = api.submit(**fields).json()["id"]
        return batch_id, *runner.jobs[batch_id]

    return submit


def log(api, batch_id, run=0):
    return api("GET", f"/batches/{batch_id}/log?type=driver&index={run}").json()["log"]


def test_a_job_is_as_its_runner_reports(submit, emulator, clock):
    batch_id, _, report = submit()
    seen = [emulator.batches()[batch_id]["state"]]
    for word in ("running", "success"):
        clock.advance(100)
        report.state(word)
        seen.append(emulator.batches()[batch_id]["state"])

    assert seen == ["starting", "running", "success"]


def test_the_lines_of_a_runner_are_the_driver_log_of_the_present_run(api, submit):
    batch_id, _, report = submit()
    report.log(["one", "two"])
    report.state("recovering")
    report.log(["three"])

    assert [log(api, batch_id, run) for run in (0, 1)] == [["one", "two"], ["three"]]


@pytest.mark.parametrize("word", ["success", "dead"])
def test_a_runner_is_not_heard_after_the_end(api, submit, emulator, word):
    batch_id, _, report = submit()
    report.state(word)

    report.state("running")
    report.log(["late"])

    assert (emulator.batches()[batch_id]["state"], log(api, batch_id)) == (word, [])


def test_a_job_that_is_cancelled_is_dead_and_its_runner_told(api, submit, runner, emulator):
    batch_id, _, report = submit()

    api("DELETE", f"/batches/{batch_id}")
    report.state("running")

    assert runner.cancelled == [batch_id]
    assert emulator.batches()[batch_id]["state"] == "dead"


def test_a_runner_gets_the_spelling_of_today(submit):
    _, request, _ = submit(class_name="Job", maxRetryTimes=3, driverCores=None, conf={"a": "b"})

    assert request == {
        "file": "obs://bucket/job.py",
        "className": "Job",
        "max_retry_times": 3,
        "conf": {"a": "b"},
    }


def test_a_runner_gets_packages_by_where_they_lie(api, submit):
    api.upload("job.py", "words.zip", group="tools", kind="pyFile")
    api.upload("stats.jar", group="jars.v1", kind="jar")
    api.upload("lone.txt")

    _, request, _ = submit(
        file="tools/job.py",
        jars=["obs://bucket/other.jar", "jars.v1/stats.jar"],
        resources=[
            {"name": "lone.txt"},
            {"name": "obs://bucket/data.csv"},
            {"name": "tools/words.zip", "type": "file"},
        ],
        groups=[
            {"name": "jars.v1", "resources": [{"name": "stats.jar", "type": "jar"}]},
            {"name": "tools"},
        ],
    )

    assert request == {
        "file": "obs://bucket/lib/job.py",
        "jars": ["obs://bucket/other.jar", "obs://bucket/lib/stats.jar"],
        "pyFiles": ["obs://bucket/lib/job.py", "obs://bucket/lib/words.zip"],
        "files": [
            "obs://bucket/lib/lone.txt",
            "obs://bucket/data.csv",
            "obs://bucket/lib/words.zip",
        ],
    }


def test_a_package_without_an_upload_keeps_its_name(submit, emulator):
    emulator.put_group("tools", {"job.py": "READY"})

    _, request, _ = submit(file="tools/job.py")

    assert request["file"] == "tools/job.py"


def test_a_timeline_goes_before_a_runner(api, emulator, runner):
    emulator.set_batch_timeline("scripted", [(0, "PAUSED")])

    assert api.submit(name="scripted").json()["state"] == "PAUSED"
    assert runner.jobs == {}


def test_a_job_that_cannot_start_is_not_handed_to_a_runner(api, emulator, runner):
    api.submit(driverMemory="2")

    assert runner.jobs == {}


def test_a_reset_ends_what_runs(api, submit, runner, emulator):
    batch_id, _, report = submit()
    _, _, ended = submit()
    ended.state("success")

    emulator.reset()
    report.state("dead")

    assert runner.cancelled == [batch_id]
    assert emulator.batches() == {}


def test_a_runner_is_closed_when_the_emulator_ends():
    with running() as emulator:
        emulator.runner = runner = Recorder()

    assert runner.closed == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"spark": "cluster"}, "spark must be local, not 'cluster'"),
        ({"spark": "local"}, "spark needs an obs_endpoint"),
    ],
    ids=str,
)
def test_spark_that_cannot_be_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence), running(**options):
        pass
