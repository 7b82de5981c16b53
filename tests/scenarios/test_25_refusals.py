"""Fault: the service refuses, in one of its many ways: a 200 that says `is_success: false`, a 400
for what is not the caller's fault, a 404 with a code, a 500 that is no JSON.

Expected: the right class, the same in both modes and after the way through the event; what cannot
pass fails at once, what may pass is waited out; the message has the request id.
"""

from __future__ import annotations

from typing import Any

import pytest
from scenarios.modes import Mode

from airflow_provider_dli.api.protocol.errors import (
    AlreadyExistsError,
    AnswerError,
    AuthenticationError,
    BadRequestError,
    EndpointError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
    ServiceError,
    ThrottledError,
)
from airflow_provider_dli.emulator import Emulator, Fault


def refusal(status: int, code: str, text: str = "no") -> dict[str, Any]:
    return {"status": status, "body": {"error_code": code, "error_msg": text}}


PERMANENT: dict[str, tuple[dict[str, Any], type[AnswerError]]] = {
    "is_success false": ({"status": 200, "body": {"is_success": False}}, BadRequestError),
    'is_success "false"': ({"action": "not-successful"}, BadRequestError),
    "400 DLI.0001": (refusal(400, "DLI.0001"), BadRequestError),
    "400 DLI.0002": (refusal(400, "DLI.0002"), NotFoundError),
    "400 DLI.0006": (refusal(400, "DLI.0006"), AlreadyExistsError),
    "400 DLI.1028": (refusal(400, "DLI.1028"), QuotaError),
    "404 DLI.0023": ({"action": "not-found"}, NotFoundError),
    "401 APIGW.0301": ({"action": "token-expired"}, AuthenticationError),
    "400 DLI.0015": ({"action": "bad-token"}, AuthenticationError),
    "403 APIGW.0302": ({"action": "forbidden"}, PermissionDeniedError),
    "400 DLI.0003": ({"action": "permission-denied"}, PermissionDeniedError),
}

PASSING: dict[str, tuple[dict[str, Any], type[AnswerError]]] = {
    "400 DLI.0999": ({"action": "internal-error"}, ServiceError),
    "500 no JSON": ({"status": 500, "body": "Segmentation fault"}, ServiceError),
    "200 DLI.0999": (refusal(200, "DLI.0999"), ServiceError),
    "429": ({"action": "throttled"}, ThrottledError),
    "200 APIG.0308": (refusal(200, "APIG.0308"), ThrottledError),
    # DLI itself has just answered the upload.
    "404 page": ({"status": 404, "body": "<html>not here</html>"}, EndpointError),
    "407 proxy": ({"status": 407, "body": "who are you?"}, EndpointError),
    "302 redirect": (
        {"status": 302, "headers": {"Location": "https://login.example/"}},
        EndpointError,
    ),
}


@pytest.mark.parametrize("name", PERMANENT)
def test_a_refusal_that_cannot_pass_ends_the_wait_at_once(
    mode: Mode, dli: Emulator, name: str
) -> None:
    arguments, kind = PERMANENT[name]
    dli.add_fault(Fault(**arguments, method="GET", times=None))

    with pytest.raises(AnswerError) as caught:
        mode.run(mode.upload())

    assert type(caught.value) is kind
    looks = [record for record in dli.requests if record.method == "GET"]
    assert len(looks) == 1
    assert caught.value.request_id == looks[0].request_id
    assert f"request id {looks[0].request_id}" in str(caught.value)
    assert caught.value.status == looks[0].status


@pytest.mark.parametrize("name", PASSING)
def test_a_refusal_that_may_pass_is_waited_out(mode: Mode, dli: Emulator, name: str) -> None:
    arguments, _ = PASSING[name]
    dli.add_fault(Fault(**arguments, method="GET", times=1))

    result = mode.run(mode.upload())

    assert {package["state"] for package in result["packages"]} == {"READY"}


@pytest.mark.parametrize("name", PASSING)
def test_a_refusal_that_could_have_passed_and_did_not_keeps_its_class(
    mode: Mode, dli: Emulator, name: str
) -> None:
    arguments, kind = PASSING[name]
    dli.add_fault(Fault(**arguments, method="GET", times=None))

    with pytest.raises(AnswerError) as caught:
        mode.run(mode.upload(max_unknown_time=mode.seconds(30)))

    assert type(caught.value) is kind


@pytest.mark.parametrize("name", ["401 APIGW.0301", "403 APIGW.0302"])
def test_a_refused_credential_names_connection_region_and_project(
    mode: Mode, dli: Emulator, name: str
) -> None:
    dli.add_fault(Fault(**PERMANENT[name][0], method="GET", times=None))

    with pytest.raises(
        AnswerError,
        match=rf"connection dli_default, region eu-west-101, project {dli.project_id}",
    ):
        mode.run(mode.upload())


def test_what_a_program_may_ask_of_an_error_survives_the_event(mode: Mode, dli: Emulator) -> None:
    dli.add_fault(Fault("quota-exceeded", method="GET", times=None))

    with pytest.raises(QuotaError) as caught:
        mode.run(mode.upload())

    error = caught.value
    assert (error.status, error.code, error.message) == (400, "DLI.1028", "The quota is exceeded.")
    assert error.retry_after is None
    assert "Delete what is no longer needed" in str(error)
