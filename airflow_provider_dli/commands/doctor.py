# SPDX-License-Identifier: Apache-2.0
"""The command `doctor`: checks a connection, and says what works, what fails and what to do."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
from typing import TYPE_CHECKING

from airflow_provider_dli.commands.command import CONNECTION, JSON, Command, logs_to_stderr

if TYPE_CHECKING:
    from airflow_provider_dli.api.doctor.findings import Finding, Report

_MAX_WIDTH = 100


def run(options: argparse.Namespace) -> int:
    """Runs the command; returns the exit status."""
    with logs_to_stderr():
        report = _examine(options)
    if options.as_json:
        print(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        print(text(report, min(shutil.get_terminal_size().columns, _MAX_WIDTH)))
    return 0 if report.is_well else 1


def text(report: Report, width: int) -> str:
    """Returns a report as lines for a terminal."""
    return "\n".join(line for finding in report.findings for line in _lines(finding, width))


def _examine(options: argparse.Namespace) -> Report:
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


COMMAND = Command(
    name="doctor",
    help="Check a connection to DLI step by step, and say what to do if a check fails",
    description=(
        "Checks a connection to DLI in this order: can it be read, is the address reachable, is "
        "its certificate trusted, is the clock right, is the credential accepted, is the project "
        "right, may the packages be listed. It changes nothing. The exit status is 0 if all checks "
        "pass and 1 if one fails."
    ),
    arguments=(*CONNECTION, JSON),
    run=run,
)
