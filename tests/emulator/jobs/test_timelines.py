# SPDX-License-Identifier: Apache-2.0
"""A batch job that nothing runs moves on with time, as its timeline says."""

from __future__ import annotations

import pytest

from airflow_provider_dli.emulator import Fault

THREE_HOURS = 3 * 60 * 60
RECOVERS = [(0, "running"), (2, "dead"), (4, "recovering"), (6, "running"), (8, "success")]


@pytest.fixture
def submitted(api):
    """Submits a job, and gives a function that tells its state."""

    def submit(**fields):
        batch_id = api.submit(**fields).json()["id"]
        return lambda: api("GET", f"/batches/{batch_id}/state").json()["state"]

    return submit


def states(state, clock, seconds):
    seen = []
    for _ in range(seconds):
        seen.append(state())
        clock.advance(1)
    return seen


def driver_log(api, emulator, run=0):
    (batch_id,) = emulator.batches()
    return api("GET", f"/batches/{batch_id}/log?type=driver&index={run}").json()["log"]


def test_a_job_starts_runs_and_succeeds_within_three_seconds(submitted, clock):
    state = submitted()

    assert states(state, clock, 4) == ["starting", "running", "running", "success"]


def test_how_long_a_job_takes_can_be_set(start, clock):
    api = start(batch_seconds=30)
    api.submit()
    clock.advance(29)

    (job,) = api.emulator.batches().values()
    assert job["state"] == "running"


def test_a_job_may_take_no_time_at_all(emulator, submitted):
    emulator.batch_seconds = 0

    assert submitted()() == "success"


def test_the_update_time_and_the_duration_follow_the_timeline(api, emulator, clock):
    api.submit()
    clock.advance(100)

    (job,) = emulator.batches().values()
    assert (job["update_time"] - job["create_time"], job["duration"]) == (3000, 3000)


def test_a_timeline_is_chosen_by_the_name_of_the_job(emulator, submitted):
    emulator.set_batch_timeline("nightly-*", [(0, "Running")])

    assert [submitted(name=name)() for name in ("nightly-1", "daily-1")] == ["Running", "starting"]


def test_the_timeline_that_was_set_last_counts(emulator, submitted):
    emulator.set_batch_timeline("a*", [(0, "first")])
    emulator.set_batch_timeline("*", [(0, "second")])
    emulator.set_batch_timeline("a*", [(0, "third")])

    assert submitted(name="a")() == "third"


def test_a_timeline_can_hold_any_word(emulator, submitted, clock):
    emulator.set_batch_timeline("*", [(0, "PAUSED"), (1, ""), (2, "Success")])
    state = submitted()

    assert states(state, clock, 3) == ["PAUSED", "", "Success"]


def test_a_job_can_disappear(api, emulator, clock):
    emulator.set_batch_timeline("*", [(0, "running"), (2, "dead"), (3, None)])
    batch_id = api.submit().json()["id"]
    clock.advance(3)

    answer = api("GET", f"/batches/{batch_id}")

    assert (answer.status_code, answer.json()["error_code"]) == (400, "DLI.0002")
    assert emulator.batches() == {}


def test_a_job_is_filtered_by_its_present_state(api, emulator, clock):
    api.submit()
    clock.advance(1)

    totals = [
        api("GET", f"/batches?state={state}").json()["total"] for state in ("starting", "running")
    ]

    assert totals == [0, 1]


def test_lines_of_the_log_come_as_time_passes(api, emulator, clock):
    log = [(2, "second"), (1, "first"), (2, "third")]
    emulator.set_batch_timeline("*", [(0, "running"), (2, "success")], log)
    api.submit()

    seen = []
    for _ in range(3):
        seen.append(driver_log(api, emulator))
        clock.advance(1)

    assert seen == [[], ["first"], ["first", "second", "third"]]


def test_a_job_of_the_default_timeline_logs_that_nothing_runs(api, emulator, clock):
    api.submit()
    clock.advance(3)

    assert "runs nothing" in driver_log(api, emulator)[0]


def test_with_auto_recovery_a_dead_job_goes_on(emulator, submitted, clock):
    emulator.set_batch_timeline("*", RECOVERS)
    state = submitted(auto_recovery=True)

    assert states(state, clock, 9)[::2] == ["running", "dead", "recovering", "running", "success"]


@pytest.mark.parametrize(
    "fields",
    [{}, {"auto_recovery": False}, {"auto_recovery": True, "max_retry_times": 0}],
    ids=str,
)
def test_without_auto_recovery_a_dead_job_stays_dead(emulator, submitted, clock, fields):
    emulator.set_batch_timeline("*", RECOVERS)
    state = submitted(**fields)

    assert states(state, clock, 9)[::2] == ["running", "dead", "dead", "dead", "dead"]


def test_a_job_is_tried_again_only_so_often(emulator, submitted, clock):
    emulator.set_batch_timeline("*", [(second, "dead") for second in range(4)] + [(4, "success")])
    state = submitted(auto_recovery=True, max_retry_times=3)

    assert states(state, clock, 6)[-1] == "dead"


def test_each_run_of_a_timeline_has_a_log_of_its_own(api, emulator, clock):
    log = [(1, "fails"), (4, "again"), (7, "works")]
    emulator.set_batch_timeline("*", RECOVERS, log)
    api.submit(auto_recovery=True)
    clock.advance(8)

    assert [driver_log(api, emulator, run) for run in (0, 1)] == [["fails"], ["again", "works"]]


def test_a_job_that_stays_dead_has_no_log_of_another_run(api, emulator, clock):
    emulator.set_batch_timeline("*", RECOVERS, [(2, "fails"), (3, "why"), (4, "again")])
    api.submit()
    clock.advance(8)

    assert [driver_log(api, emulator, run) for run in (0, 1)] == [["fails", "why"], []]


def test_a_job_that_gets_no_resources_is_dead_after_three_hours(emulator, submitted, clock):
    emulator.set_batch_timeline("*", [(0, "PENDING"), (5, "starting")])
    state = submitted()
    clock.advance(5 + THREE_HOURS - 1)

    assert states(state, clock, 2) == ["starting", "dead"]


def test_a_job_that_is_cancelled_leaves_its_timeline(api, emulator, submitted, clock):
    emulator.set_batch_timeline("*", [(0, "running"), (5, "success")], [(1, "early"), (4, "late")])
    state = submitted()
    clock.advance(2)

    (batch_id,) = emulator.batches()
    api("DELETE", f"/batches/{batch_id}")

    clock.advance(10)
    assert (state(), driver_log(api, emulator)) == ("dead", ["early"])


def test_a_state_that_is_set_ends_a_timeline(emulator, submitted, clock):
    state = submitted()
    emulator.set_batch_state(*emulator.batches(), "PAUSED")
    clock.advance(10)

    assert state() == "PAUSED"


def test_timelines_can_be_forgotten(emulator, submitted):
    emulator.set_batch_timeline("*", [(0, "dead")])
    emulator.clear_batch_timelines()

    assert submitted()() == "starting"


@pytest.mark.parametrize(("when", "jobs"), [("before", 0), ("after", 1)])
def test_a_submission_whose_answer_is_lost_may_have_made_a_job(api, emulator, when, jobs):
    emulator.add_fault(Fault("unavailable", method="POST", path="/batches", when=when))

    answer = api.submit(name="n")

    assert answer.status_code == 503
    assert sum(emulator.submissions.values()) == len(emulator.batches()) == jobs


def test_a_cancelling_can_be_accepted_and_do_nothing(api, emulator):
    batch_id = emulator.add_batch({})
    emulator.add_fault(Fault(method="DELETE", path="/batches/*", body={"msg": "deleted"}))

    answer = api("DELETE", f"/batches/{batch_id}")

    assert (answer.status_code, answer.json()) == (200, {"msg": "deleted"})
    assert emulator.batches()[batch_id]["state"] == "running"


@pytest.mark.parametrize(("when", "state"), [("before", "running"), ("after", "dead")])
def test_a_cancelling_whose_answer_is_lost_may_have_ended_the_job(api, emulator, when, state):
    batch_id = emulator.add_batch({})
    emulator.add_fault(Fault("throttled", method="DELETE", path="/batches/*", when=when))

    api("DELETE", f"/batches/{batch_id}")

    assert emulator.batches()[batch_id]["state"] == state
