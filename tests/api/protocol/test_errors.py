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
        "GET /x failed (request id r1). Ask less often, or from fewer tasks at once."
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
