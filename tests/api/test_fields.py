# SPDX-License-Identifier: Apache-2.0
"""A table of fields agrees with what is stated beside it: signature, assignment, docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_provider_dli.api.fields import Field
from airflow_provider_dli.api.jobs import spark_job
from airflow_provider_dli.commands.stage import COMMAND
from airflow_provider_dli.operators.spark import SparkBatchOperator
from airflow_provider_dli.operators.staging import StagePackagesOperator
from airflow_provider_dli.staging import plan

# The operator's `name` is another one: the job's begins with it.
JOB = {name: field for name, field in spark_job.FIELDS.items() if name != "name"}
# On Airflow 3.3 an operator has a read-only property `is_async`.
ATTRIBUTES = {"is_async": "upload_async"}

CASES = [
    pytest.param(operator, table, name, id=f"{operator.__name__}.{name}")
    for operator, table in ((SparkBatchOperator, JOB), (StagePackagesOperator, plan.OPTIONS))
    for name in table
]
every_field = pytest.mark.parametrize(("operator", "table", "name"), CASES)


def parameters(operator: Any) -> dict[str, str]:
    """Returns the text of each `:param` of a docstring, in one line."""
    documentation = inspect.getdoc(operator) or ""
    found = re.findall(r":param (\w+): (.*?)(?=\n:param|\Z)", documentation, re.DOTALL)
    return {name: " ".join(text.split()) for name, text in found}


@every_field
def test_the_operator_has_the_field_with_its_default(
    operator: Any, table: Mapping[str, Field], name: str
) -> None:
    field = table[name]

    parameter = inspect.signature(operator.__init__).parameters[field.operator_name]

    assert (parameter.default is inspect.Parameter.empty) == field.is_required
    assert field.is_required or parameter.default == field.default


@every_field
def test_the_operator_keeps_the_field(operator: Any, table: Mapping[str, Field], name: str) -> None:
    required = {field.operator_name: "x" for field in table.values() if field.is_required}
    parameter, value = table[name].operator_name, object()

    made = operator(task_id="t", **required | {parameter: value})

    assert getattr(made, ATTRIBUTES.get(parameter, parameter)) is value


@every_field
def test_the_docstring_says_what_the_table_says(
    operator: Any, table: Mapping[str, Field], name: str
) -> None:
    field = table[name]
    templated = " (templated)" if field.is_templated else ""

    assert parameters(operator)[field.operator_name] == field.doc + templated


@every_field
def test_the_operator_renders_the_field_as_the_table_says(
    operator: Any, table: Mapping[str, Field], name: str
) -> None:
    field = table[name]

    assert (field.operator_name in operator.template_fields) == field.is_templated
    assert (field.operator_name in operator.template_fields_renderers) == field.is_json


def test_the_command_has_the_options_of_the_table() -> None:
    flags = {flag for argument in COMMAND.arguments for flag in argument.flags}

    assert {
        f"--{name.replace('_', '-')}" for name, o in plan.OPTIONS.items() if o.is_option
    } <= flags
