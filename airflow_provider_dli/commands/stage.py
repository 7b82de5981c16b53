# SPDX-License-Identifier: Apache-2.0
"""Staging from a shell: files to OBS and into a package group, with a table of what was done."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from airflow_provider_dli.commands.command import CONNECTION, JSON, Command, argument, telling

if TYPE_CHECKING:
    from airflow_provider_dli.staging.plan import StagingPlan

_UNITS = {"d": "days", "h": "hours"}


@telling
def run(options: argparse.Namespace, out: TextIO) -> int:
    """Run the command; gives the exit status."""
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

    order = _order(options)
    account = {"region": options.region, "project_id": options.project_id}
    with DliHook(options.conn_id, **account) as dli, ObsHook(options.conn_id, **account) as obs:
        stager = Stager(dli, obs)
        staged = stager.stage(order, dry_run=options.dry_run)
        result = staged.as_dict() | {"dry_run": options.dry_run}
        group, names = staged.found, [package["name"] for package in result["packages"]]
        is_ready = judge(group, names).verdict is Verdict.READY
        if staged.group is not None and not (is_ready or options.dry_run or options.no_wait):
            group = dli.wait_until_ready(staged.group, names, timeout=options.timeout)
        if not options.dry_run:
            listed = None if group is staged.found else group
            stager.finish(order, result, staged.upload, listed)
        states = judge(group, names).states if group else {}
        for package in result["packages"]:
            package["state"] = states.get(package["name"])
        return result


def _order(options: argparse.Namespace) -> StagingPlan:
    from airflow_provider_dli.staging.plan import StagingPlan

    # Names the record of what no group holds: the same files again are the same staging again.
    sources = hashlib.sha256("\n".join(options.files).encode()).hexdigest()
    return StagingPlan(
        sources=options.files,
        bucket=options.bucket,
        prefix=options.prefix,
        group=options.group,
        kind=options.kind,
        target=options.target or ("obs" if options.group is None else "group"),
        if_exists=options.if_exists,
        on_conflict=options.on_conflict,
        force=options.force,
        delete_after=options.delete_after,
        delete_dry_run=not options.delete,
        spark_version=options.spark_version,
        python_version=options.python_version,
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
    """Read `30d` or `12h` as an age, `5` as a count."""
    found = re.fullmatch(r"(\d+)([dh]?)", text)
    if not found or int(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is neither an age such as 30d nor a count")
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found[2] else int(found[1])


COMMAND = Command(
    name="stage",
    help="Send files to OBS and upload them into a DLI package group; only what changed",
    description=(
        "Sends files to OBS, named by their content, and uploads them into a package group of "
        "DLI unless it holds the same bytes already. Then it waits until every package is READY. "
        "The exit status is 0 when all is well and 1 when something failed."
    ),
    arguments=(
        argument(
            "files",
            nargs="+",
            metavar="FILE",
            help="file, glob, folder of Python code, wheel, requirements.txt, or obs://bucket/key",
        ),
        argument("--bucket", required=True, help="bucket of OBS"),
        argument("--prefix", default="", help="folder in the bucket"),
        argument("--group", help="name of the package group; without one, files go to OBS only"),
        argument("--target", choices=["group", "obs"], help="obs: for Spark 3.3.1 and later"),
        argument("--kind", choices=["jar", "pyFile", "file", "modelFile"]),
        argument("--spark-version", help="engine of the job, to be warned where it fits no group"),
        argument("--python-version", help="Python of the engine, for dependencies"),
        argument("--if-exists", choices=["replace", "skip", "fail"], default="replace"),
        argument("--on-conflict", choices=["fail", "replace", "version"], default="fail"),
        argument("--force", action="store_true", help="send and upload what is there already"),
        argument("--no-wait", action="store_true", help="do not wait for READY"),
        argument("--timeout", type=float, default=1800.0, help="seconds to wait (default: 1800)"),
        argument(
            "--delete-after",
            type=_age_or_count,
            metavar="AGE",
            help="tell what earlier runs left: older than 30d or 12h, or all but the newest 5",
        ),
        argument("--delete", action="store_true", help="remove what --delete-after tells"),
        argument("--dry-run", action="store_true", help="tell what would be done, and do nothing"),
        *CONNECTION,
        JSON,
    ),
    run=run,
)
