# SPDX-License-Identifier: Apache-2.0
"""Makes our commands sub-commands of `airflow`, where it looks for those of providers (3.2)."""

from __future__ import annotations

from typing import Any


def get_cli_commands() -> list[Any]:
    """Give the group `dli`. Called at each start of `airflow`, so it loads only what that has."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    from airflow_provider_dli.commands import doctor

    options = [
        Arg((flag,), help=meaning, default=default)  # type: ignore[no-untyped-call]  # Airflow's
        for flag, meaning, default in doctor.ARGUMENTS
    ]
    as_json = Arg(  # type: ignore[no-untyped-call]  # Airflow's
        ("--json",), help=doctor.JSON_HELP, action="store_true", dest="as_json"
    )
    command = ActionCommand(
        name="doctor",
        help=doctor.HELP,
        description=doctor.DESCRIPTION,
        func=lazy_load_command("airflow_provider_dli.commands.doctor.from_airflow"),
        args=(*options, as_json),
    )
    return [GroupCommand(name="dli", help="Data Lake Insight (DLI)", subcommands=[command])]
