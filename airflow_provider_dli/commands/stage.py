# SPDX-License-Identifier: Apache-2.0
"""The command that stages files: to OBS and into a package group."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

from airflow_provider_dli.api.fields import Field
from airflow_provider_dli.commands.command import (
    CONNECTION,
    JSON,
    Argument,
    Command,
    argument,
    reporting_errors,
)
from airflow_provider_dli.staging.plan import OPTIONS, StagingPlan

_UNITS = {"d": "days", "h": "hours"}


@reporting_errors
def run(options: argparse.Namespace, out: TextIO) -> int:
    """Runs the command; returns the exit status."""
    result = _stage(options)
    if options.as_json:
        print(json.dumps(result, indent=2, ensure_ascii=False), file=out)
    else:
        _show(result, out)
    return 0


def _stage(options: argparse.Namespace) -> dict[str, Any]:
    from airflow_provider_dli.api.packages.readiness import Verdict, judge
    from airflow_provider_dli.hooks.dli import DliHook
    from airflow_provider_dli.hooks.obs import ObsHook
    from airflow_provider_dli.staging.stager import Stager

    plan = _plan(options)
    account = {"region": options.region, "project_id": options.project_id}
    with DliHook(options.conn_id, **account) as dli, ObsHook(options.conn_id, **account) as obs:
        stager = Stager(dli, obs)
        staged = stager.stage(plan, dry_run=options.dry_run)
        result = staged.as_dict() | {"dry_run": options.dry_run}
        group, names = staged.found, [package["name"] for package in result["packages"]]
        is_ready = judge(group, names).verdict is Verdict.READY
        if staged.group is not None and not (is_ready or options.dry_run or options.no_wait):
            group = dli.wait_until_ready(staged.group, names, timeout=options.timeout)
        if not options.dry_run:
            listed = None if group is staged.found else group
            stager.finish(plan, result, staged.upload, listed)
        states = judge(group, names).states if group else {}
        for package in result["packages"]:
            package["state"] = states.get(package["name"])
        return result


def _plan(options: argparse.Namespace) -> StagingPlan:
    given = {name: getattr(options, name) for name, option in OPTIONS.items() if option.is_option}
    # Names the record of packages without a group: the same files are the same staging again.
    sources = hashlib.sha256("\n".join(options.files).encode()).hexdigest()
    return StagingPlan(
        **given | {"target": options.target or ("obs" if options.group is None else "group")},
        sources=options.files,
        delete_after=options.delete_after,
        delete_dry_run=not options.delete,
        base=Path.cwd(),
        owner="command line",
        task=f"command-line.{sources[:8]}",
    )


def _show(result: dict[str, Any], out: TextIO) -> None:
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    would = "would be " if result["dry_run"] else ""
    size = decimal(result["bytes_sent"])
    table = Table("package", "size", "SHA-256", "OBS", "state")
    for package in result["packages"]:
        table.add_row(
            package["name"],
            decimal(package["size"]),
            (package["sha256"] or "")[:12],
            f"{would}sent" if package["sent"] else "there already",
            package["state"] or "-",
        )
    console = Console(file=out)
    console.print(table)
    console.print(f"{size} {would}sent")
    if result["group"] is not None:
        done = f"{would}uploaded" if result["uploaded"] else "holds the same already"
        console.print(f"Group {result['group']}: {done}")
    else:
        for package in result["packages"]:
            console.print(package["obs_path"], soft_wrap=True)


def _age_or_count(text: str) -> timedelta | int:
    """Reads `30d` or `12h` as an age, `5` as a count."""
    found = re.fullmatch(r"(\d+)([dh]?)", text)
    if not found or int(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is neither an age such as 30d nor a count")
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found[2] else int(found[1])


def _option(option: Field) -> Argument:
    """Returns the argument for an option of staging."""
    # The target follows from the group.
    default = None if option.name == "target" else option.default
    words: dict[str, Any] = {"help": option.doc.replace("``", "")}
    if option.default is False:
        words["action"] = "store_true"
    elif option.is_required:
        words["required"] = True
    else:
        words["default"] = default
        words["help"] += f" (default: {default})" if default else ""
    if option.choices:
        words["choices"] = option.choices
    return argument(f"--{option.name.replace('_', '-')}", **words)


COMMAND = Command(
    name="stage",
    help="Send files to OBS and upload them into a DLI package group; only what changed",
    description=(
        "Sends files to OBS, named by their content, and uploads them into a package group of "
        "DLI unless it holds the same bytes already. Then it waits until every package is READY. "
        "The exit status is 0 on success and 1 if something failed."
    ),
    arguments=(
        argument(
            "files",
            nargs="+",
            metavar="FILE",
            help="file, glob, folder of Python code, wheel, requirements.txt, or obs://bucket/key",
        ),
        *(_option(option) for option in OPTIONS.values() if option.is_option),
        argument("--no-wait", action="store_true", help="do not wait for READY"),
        argument("--timeout", type=float, default=1800.0, help="seconds to wait (default: 1800)"),
        argument(
            "--delete-after",
            type=_age_or_count,
            metavar="AGE",
            help="show what earlier runs left: older than 30d or 12h, or all but the newest 5",
        ),
        argument("--delete", action="store_true", help="remove what --delete-after shows"),
        argument("--dry-run", action="store_true", help="show what would be done, and do nothing"),
        *CONNECTION,
        JSON,
    ),
    run=run,
)
