"""Fault: something on the way says that it did not get through, or not in time: 408, 425, 421, 499,
502 to 504 with a gateway's own words, a page with 403 or 404.

Expected: a wait goes on; what submits a job looks for it, since it may have been submitted; a page
that answers the first look fails at once, with what it says.
"""

from __future__ import annotations

from typing import Any

import pytest
from scenarios.jobs import cancels, submissions
from scenarios.modes import Mode
from trials import SkippingClock

from airflow_provider_dli.api.jobs.spark_job import SparkJob
from airflow_provider_dli.api.protocol.errors import EndpointError
from airflow_provider_dli.emulator import Emulator, Fault
from airflow_provider_dli.hooks.dli import DliHook

PAGE = "<html><body>The requested URL was rejected</body></html>"
NO_API = {"error_code": "APIGW.0101", "error_msg": "The API does not exist"}
MOMENTS: dict[str, dict[str, Any]] = {
    **{f"bare {status}": {"status": status, "body": ""} for status in (408, 421, 425, 499)},
    **{f"{s} no such API": {"status": s, "body": NO_API} for s in (502, 503, 504)},
    **{f"{s} page": {"status": s, "body": PAGE} for s in (403, 404, 408, 502, 503)},
}


@pytest.mark.parametrize("name", MOMENTS)
def test_a_wait_for_a_job_goes_on(mode: Mode, dli: Emulator, name: str) -> None:
    """The answer to the submission counts as a good look."""
    dli.add_fault(Fault(method="GET", path="/batches/*", times=2, **MOMENTS[name]))

    assert mode.run(mode.spark(driver_log=False))["state"] == "success"

    assert cancels(dli) == 0


@pytest.mark.parametrize("name", MOMENTS)
def test_a_wait_for_packages_goes_on(mode: Mode, dli: Emulator, name: str) -> None:
    """The answer to the upload counts as a good look."""
    dli.add_fault(Fault(method="GET", path="/resources", times=2, **MOMENTS[name]))

    result = mode.run(mode.upload())

    assert {package["state"] for package in result["packages"]} == {"READY"}


@pytest.mark.parametrize("name", MOMENTS)
def test_a_job_whose_submission_was_carried_out_and_answered_so_is_found(
    dli: Emulator, name: str
) -> None:
    fault = Fault(method="POST", path="/batches", when="after", **MOMENTS[name])
    dli.add_fault(fault)
    job = SparkJob(file="obs://bucket/a.py", queue="q", name="n", spark_version="2.4.5")

    with DliHook(clock=SkippingClock()) as hook:
        submitted = hook.submit_batch(job)

    assert submissions(dli) == 1
    assert list(dli.batches()) == [submitted.batch.id]


@pytest.mark.parametrize("status", [403, 404])
def test_a_page_that_answers_the_first_look_fails_at_once_with_what_it_says(
    mode: Mode, dli: Emulator, status: int
) -> None:
    dli.add_fault(Fault(status=status, body=PAGE, times=None))

    with pytest.raises(EndpointError, match="The requested URL was rejected"):
        mode.run(mode.upload())

    assert len(dli.requests) == 1
