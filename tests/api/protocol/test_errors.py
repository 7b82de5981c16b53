# SPDX-License-Identifier: Apache-2.0
"""The tree of errors is the one that its module draws, and its texts stay short."""

from __future__ import annotations

import importlib
import pickle
import re
import sys

import pytest

from airflow_provider_dli import exceptions
from airflow_provider_dli.api.protocol import errors
from airflow_provider_dli.api.protocol.errors import (
    AnswerError,
    AnswerLostError,
    AuthenticationError,
    BadRequestError,
    ConnectionSetupError,
    DliError,
    EndpointError,
    InputError,
    NotFoundError,
    NotSentError,
    PackageGroupTimeoutError,
    PermissionDeniedError,
    QuotaError,
    ServiceError,
    ThrottledError,
    UnusableAnswerError,
    WireError,
)


def drawn() -> list[tuple[str, str | None]]:
    """Read the tree in the module's docstring: each class with the one above it."""
    branches = re.findall(r"^    ([│├└─ ]*)(\w+Error)", errors.__doc__ or "", re.MULTILINE)
    above: list[tuple[int, str]] = []
    tree: list[tuple[str, str | None]] = []
    for indent, name in branches:
        while above and above[-1][0] >= len(indent):
            above.pop()
        tree.append((name, above[-1][1] if above else None))
        above.append((len(indent), name))
    return tree


def classes() -> dict[str, type[DliError]]:
    return {
        name: found
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, DliError)
    }


def empty(kind: type[DliError]) -> DliError:
    """Return an error of a class as it is before anything is set."""
    return kind.__new__(kind)


@pytest.mark.parametrize(("name", "parent"), drawn())
def test_a_drawn_class_exists_below_the_class_above_it(name: str, parent: str | None) -> None:
    expected = Exception if parent is None else classes()[parent]

    assert classes()[name].__bases__[0] is expected


def test_every_class_is_drawn() -> None:
    assert {name for name, _ in drawn()} == classes().keys()


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (InputError, ValueError),
        (WireError, ValueError),
        (PackageGroupTimeoutError, TimeoutError),
    ],
)
def test_some_are_also_what_python_calls_them(error: type, builtin: type) -> None:
    assert issubclass(error, builtin)


@pytest.mark.parametrize("error", [AnswerLostError, ServiceError, UnusableAnswerError])
def test_after_these_the_service_may_have_acted(error: type[DliError]) -> None:
    assert error.may_be_done


@pytest.mark.parametrize(
    "error",
    [
        NotSentError,
        ConnectionSetupError,
        ThrottledError,
        BadRequestError,
        NotFoundError,
        InputError,
    ],
)
def test_after_these_the_service_has_not_acted(error: type[DliError]) -> None:
    assert not error.may_be_done


TRANSIENT = {
    "NotSentError",
    "AnswerLostError",
    "UnusableAnswerError",
    "ThrottledError",
    "ServiceError",
}
FAULTS = {
    "caller": {
        "InputError",
        "AnswerError",
        "AuthenticationError",
        "PermissionDeniedError",
        "NotFoundError",
        "AlreadyExistsError",
        "QuotaError",
        "ThrottledError",
        "BadRequestError",
        "ObjectChangedError",
    },
    "service": {"WireError", "RefusedInBodyError", "UnusableAnswerError", "ServiceError"},
    "network": {
        "TransportError",
        "NotSentError",
        "ConnectionSetupError",
        "AnswerLostError",
        "AnswerTooLargeError",
        "EndpointError",
    },
}


def test_the_transient_errors_are_those_that_may_pass_without_a_change() -> None:
    assert {name for name, kind in classes().items() if kind.is_transient} == TRANSIENT


def test_only_an_error_after_which_nothing_was_done_makes_any_call_safe_to_repeat() -> None:
    safe = {name for name, kind in classes().items() if empty(kind).is_retry_safe}

    assert safe == {"NotSentError", "ThrottledError"}


def test_only_too_many_requests_are_throttling() -> None:
    assert [name for name, kind in classes().items() if kind.is_throttling] == ["ThrottledError"]


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_classes(fault: str) -> None:
    assert {name for name, kind in classes().items() if kind.fault == fault} == FAULTS[fault]


def test_the_state_of_a_group_or_of_a_job_is_no_fault_of_a_call() -> None:
    without = {kind for kind in classes().values() if kind.fault is None}

    assert without == {DliError} | {
        kind
        for kind in classes().values()
        if issubclass(kind, errors.PackageGroupError | errors.SparkBatchError)
    }


@pytest.mark.parametrize("kind", classes().values())
def test_every_error_can_be_asked_how_long_to_wait(kind: type[DliError]) -> None:
    assert empty(kind).retry_after is None


def test_what_one_error_carries_beside_its_class_crosses_a_process() -> None:
    error = DliError("try later")
    error.is_transient, error.retry_after = True, 3.0

    copies = (pickle.loads(pickle.dumps(error)), errors.restored(error.as_dict()))  # noqa: S301 - made here

    assert [(copy.is_retry_safe, copy.retry_after) for copy in copies] == [(True, 3.0)] * 2


def test_an_error_of_version_0_1_is_restored_with_what_it_carries_now() -> None:
    fields = {"status": 429, "code": "APIG.0308", "retry_after": 3.0, "caller": ""}

    error = errors.restored({"error": "ThrottledError", "message": "busy", "fields": fields})

    assert (error.is_throttling, error.is_retry_safe, error.retry_after) == (True, True, 3.0)


def test_a_refusal_names_field_value_and_rule() -> None:
    error = InputError("kind", "jars", "use one of jar, file")

    assert str(error) == "kind is 'jars': use one of jar, file"
    assert error.field == "kind"


def test_a_missing_value_is_called_missing() -> None:
    assert str(InputError("kind", None, "use jar")) == "kind is missing: use jar"


def test_a_long_value_is_cut() -> None:
    text = str(InputError("paths", "x" * 10_000, "give less"))

    assert text == f"paths is '{'x' * 299}…: give less"


def test_a_value_of_300_characters_is_shown_whole() -> None:
    assert "…" not in str(InputError("paths", "x" * 298, "give less"))


def test_an_answer_error_carries_what_the_service_said() -> None:
    error = ThrottledError("GET /x failed", status=429, code="C", request_id="r1", retry_after=2.0)

    assert (error.status, error.code, error.request_id, error.retry_after) == (429, "C", "r1", 2.0)
    assert str(error) == (
        "GET /x failed (request id r1). Send fewer requests: raise "
        "poll_interval, or run fewer tasks at once."
    )


def test_an_answer_error_needs_no_more_than_a_status() -> None:
    error = BadRequestError("GET /x failed", status=400)

    assert (error.code, error.request_id, error.retry_after) == ("", "", None)
    assert str(error) == "GET /x failed."


@pytest.mark.parametrize(
    "error", [EndpointError, AuthenticationError, PermissionDeniedError, NotFoundError]
)
def test_an_error_about_the_caller_names_the_caller(error: type[AnswerError]) -> None:
    text = str(error("GET /x failed", status=401, caller="connection c"))

    assert text.startswith("GET /x failed. Used: connection c. Check ")


@pytest.mark.parametrize("error", [BadRequestError, QuotaError, ServiceError])
def test_any_other_error_does_not_name_the_caller(error: type[AnswerError]) -> None:
    assert "connection c" not in str(error("GET /x failed", status=400, caller="connection c"))


def test_an_error_crosses_a_process_whole() -> None:
    error = ThrottledError("busy", status=429, code="APIG.0308", request_id="r1", retry_after=3.0)
    error.add_note("and a note")

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here

    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_the_place_of_the_errors_in_version_0_1_warns_and_has_the_same_classes() -> None:
    sys.modules.pop("airflow_provider_dli.api.errors", None)

    with pytest.warns(DeprecationWarning, match=r"airflow_provider_dli\.exceptions"):
        before = importlib.import_module("airflow_provider_dli.api.errors")

    assert before.NotFoundError is exceptions.NotFoundError


def test_users_can_import_every_error_from_one_place() -> None:
    classes = {name for name in vars(errors) if name.endswith("Error")}

    assert classes == set(exceptions.__all__)
