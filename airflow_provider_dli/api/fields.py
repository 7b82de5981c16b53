# SPDX-License-Identifier: Apache-2.0
"""The table of a dataclass: each field declared once, with its check and its documentation.

From the table come the body of a request, the checks, the operator's template fields, the options
of the command line, and the tables of the documentation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from airflow_provider_dli.api import checks


class Field(NamedTuple):
    """What is declared about a field, and what its dataclass says about it.

    :param doc: one sentence, in the docstring of the operator and in the documentation
    :param check: takes the field's name and a value, returns the value to send, or raises
        `InputError`
    :param choices: the words that the field may be
    :param wire: the key in the body of a request, empty if it has none of its own
    :param operator_name: the operator's parameter, if Airflow takes the field's name for its own
    :param is_templated: the operator renders it
    :param is_json: Airflow shows the rendered value as JSON
    :param is_option: the command line has it
    """

    doc: str
    check: Callable[[str, Any], Any] | None = None
    choices: tuple[str, ...] = ()
    wire: str | None = None
    operator_name: str = ""
    is_templated: bool = True
    is_json: bool = False
    is_option: bool = False
    name: str = ""
    default: Any = None
    is_required: bool = False

    def read(self, value: Any) -> Any:
        """Returns the value to send; raises `InputError` for one that is not allowed."""
        if self.choices:
            return checks.choice(self.name, value, self.choices)
        return self.check(self.name, value) if self.check else value


def declared(
    doc: str, check: Callable[[str, Any], Any] | None = None, **uses: Any
) -> Mapping[str, Field]:
    """Returns the metadata of a required field, for `dataclasses.field`."""
    return {"declared": Field(doc=doc, check=check, **uses)}


def optional(
    doc: str,
    check: Callable[[str, Any], Any] | None = None,
    *,
    default: Any = None,
    is_shown: bool = True,
    **uses: Any,
) -> Any:
    """Returns a field with a default; one that may hold secrets is not shown."""
    metadata = declared(doc, check, **uses)
    return dataclasses.field(default=default, repr=is_shown, metadata=metadata)


def table_of(cls: type) -> Mapping[str, Field]:
    """Returns the declared fields of a dataclass by their names, in the order of the class."""
    return {
        field.name: declared._replace(
            name=field.name,
            default=None if field.default is dataclasses.MISSING else field.default,
            is_required=field.default is dataclasses.MISSING,
            wire=field.name if declared.wire is None else declared.wire,
            operator_name=declared.operator_name or field.name,
        )
        for field in dataclasses.fields(cls)
        if (declared := field.metadata.get("declared"))
    }
