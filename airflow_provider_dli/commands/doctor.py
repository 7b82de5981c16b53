# SPDX-License-Identifier: Apache-2.0
"""The doctor on a terminal: says of a connection what works, what does not, and what to do."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_dli.api.findings import Finding, Report

HELP = "Check a connection to DLI step by step, and say what to do where one fails"
DESCRIPTION = (
    "Checks a connection to DLI in this order: can it be read, is the address reached, is its "
    "certificate trusted, is the clock right, is the credential accepted, is the project right, "
    "may the packages be listed. It changes nothing. The exit status is 0 when all is well and 1 "
    "when a check failed."
)
ARGUMENTS: tuple[tuple[str, str, str | None], ...] = (
    ("--conn-id", "connection of type dli (default: dli_default)", "dli_default"),
    ("--region", "wins over the connection's region", None),
    ("--project-id", "wins over the connection's project id", None),
)
JSON_HELP = "print one JSON object instead of text"

_WIDEST = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    for flag, meaning, default in ARGUMENTS:
        parser.add_argument(flag, help=meaning, default=default)
    parser.add_argument("--json", action="store_true", dest="as_json", help=JSON_HELP)


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit status."""
    # What Airflow logs, it writes to the standard output: that has the report and nothing else.
    with contextlib.redirect_stdout(sys.stderr):
        report = _examine(options)
    if options.as_json:
        print(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        print(text(report, min(shutil.get_terminal_size().columns, _WIDEST)))
    return 0 if report.is_well else 1


def from_airflow(options: argparse.Namespace) -> None:
    """Run the command as a sub-command of `airflow`."""
    sys.exit(run(options))


def text(report: Report, width: int) -> str:
    """Give a report as lines for a terminal."""
    return "\n".join(line for finding in report.findings for line in _lines(finding, width))


def _examine(options: argparse.Namespace) -> Report:
    # Read before Airflow is imported: with it connections of Airflow's database are found, too,
    # as by `airflow connections get`.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from airflow_provider_dli.hooks.dli import DliHook

    with DliHook(options.conn_id, region=options.region, project_id=options.project_id) as hook:
        return hook.diagnose()


def _lines(finding: Finding, width: int) -> list[str]:
    result = "FAILED" if finding.remedy else finding.result.value
    begin = f"{finding.check:<10}  {result:<7}  "
    indent = " " * len(begin)
    paragraphs = (finding.found, finding.detail, f"→ {finding.remedy}" if finding.remedy else "")
    lines = [
        line
        for paragraph in paragraphs
        for line in textwrap.wrap(
            paragraph, max(width - len(begin), 40), break_long_words=False, break_on_hyphens=False
        )
    ]
    return [f"{begin if number == 0 else indent}{line}" for number, line in enumerate(lines)]
