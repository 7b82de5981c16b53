# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of the documentation that come from the code, between their marks.

`make docs` runs it; a test fails while a table is not up to date.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from airflow_provider_dli.api.fields import Field
from airflow_provider_dli.api.jobs.engines import ENGINES, Engine, Lifecycle
from airflow_provider_dli.api.jobs.spark_job import FIELDS
from airflow_provider_dli.connection_form import SECTIONS
from airflow_provider_dli.staging.plan import OPTIONS

DOCS = Path(__file__).parent

_MARKED = re.compile(
    r"(<!-- table: ([\w-]+), written by `make docs` -->\n).*?(<!-- end -->\n)", re.S
)


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Returns a Markdown table."""
    head = list(columns)
    lines = [head, ["---"] * len(head), *(list(row) for row in rows)]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
    )


def job() -> str:
    """Returns the parameters of `SparkBatchOperator` that are fields of the job."""
    rows = (
        (f"`{field.operator_name}`", f"`{field.wire}`" if field.wire else "", markdown(field.doc))
        for name, field in FIELDS.items()
        if name != "name"
    )
    return table(("parameter", "in the request", "what it is"), rows)


def staging() -> str:
    """Returns the options of staging."""
    rows = (
        (f"`{name}`", option_of(name, option), default_of(option), markdown(option.doc))
        for name, option in OPTIONS.items()
    )
    return table(("parameter", "option of the command", "default", "what it is"), rows)


def option_of(name: str, option: Field) -> str:
    """Returns the option of the command for an option of staging."""
    special = {
        "sources": "`FILE …`",
        "delete_after": "`--delete-after`",
        "delete_dry_run": "`--delete` turns it off",
    }
    return f"`--{name.replace('_', '-')}`" if option.is_option else special.get(name, "")


def default_of(option: Field) -> str:
    """Returns the default, if there is one that says something."""
    if option.is_required:
        return "required"
    return f"`{option.default}`" if option.default not in {None, ""} else ""


def engines() -> str:
    """Returns what each engine takes, and until when it is sold and supported."""
    rows = (
        (
            f"Spark {engine.version}",
            "yes" if engine.takes_groups else "no: `obs://` paths only",
            "yes" if engine.takes_modules else "no: settings in `conf`",
            "yes" if engine.needs_agency else "no",
            *(lifecycle(one) for one in engine.lifecycles.values()),
        )
        for engine in ENGINES
    )
    columns = (
        "engine",
        "groups, resources, names of packages in DLI",
        "data sources as `modules`",
        "needs an agency to read OBS",
        "Huawei Cloud: sold until, supported until",
        "OTC: sold until, supported until",
    )
    return table(columns, rows) + sources()


def lifecycle(one: Lifecycle) -> str:
    """Returns the published dates, or the published status if there are none."""
    if one.end_of_sale is None and one.end_of_support is None:
        return f"not published; {one.status}"
    return f"{one.end_of_sale}, {one.end_of_support}"


def sources() -> str:
    """Returns where and when the dates were read."""
    newest = ENGINES[-1].lifecycles
    pages = ", ".join(
        f"[{label}]({newest[cloud].source}), as of {newest[cloud].as_of}"
        for cloud, label in (("huawei", "Huawei Cloud"), ("otc", "OTC"))
    )
    return f"\nSources of the dates: {pages}. EOM is the end of the sale, EOS the end of support.\n"


def targets() -> str:
    """Returns how to stage for each engine."""

    def row(engine: Engine) -> tuple[str, ...]:
        if engine.takes_groups:
            how = ("yes", "`group` (or `obs`)", "`groups`, or `group/package`")
        else:
            how = ("no", "`obs`", "`obs://` paths in `file`, `jars`, `py_files`, `files`")
        return (engine.version, *how, "yes" if engine.needs_agency else "no")

    return table(
        ("Spark", "takes groups", "target", "in the job", "needs an agency"), map(row, ENGINES)
    )


def connection() -> Mapping[str, str]:
    """Returns the fields of a connection, a table for each section of the form."""
    return {
        f"connection-{section.split()[0].lower()}": table(
            ("field", "in the form", "what it is"),
            ((f"`{field.name}`", field.label, field.description) for field in fields),
        )
        for section, fields in SECTIONS.items()
    }


def markdown(doc: str) -> str:
    """Returns text of a docstring as Markdown."""
    return doc.replace("``", "`")


def pages() -> Iterator[tuple[Path, str, str]]:
    """Yields each page that has tables: its path, its text, and its text with renewed tables."""
    tables = {
        "job": job(),
        "staging": staging(),
        "engines": engines(),
        "targets": targets(),
        **connection(),
    }
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        renewed = _MARKED.sub(lambda found: f"{found[1]}{tables[found[2]]}{found[3]}", text)
        if _MARKED.search(text):
            yield page, text, renewed


if __name__ == "__main__":
    for page, text, renewed in pages():
        if renewed != text:
            page.write_text(renewed, encoding="utf-8")
            print(f"{page.name} has new tables")
