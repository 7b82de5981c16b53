# SPDX-License-Identifier: Apache-2.0
"""The commands as sub-commands of `airflow`, which finds those of providers since 3.2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from airflow_provider_dli.commands import COMMANDS
from airflow_provider_dli.commands.command import Command, Group


def get_cli_commands() -> list[Any]:
    """Returns the group `dli`. Called at each start of `airflow`, so it imports little."""
    from airflow.cli.cli_config import GroupCommand

    return [
        GroupCommand(
            name="dli",
            help="Data Lake Insight (DLI)",
            subcommands=[_as_airflow(command) for command in COMMANDS],
        )
    ]


def _as_airflow(command: Command | Group) -> Any:
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    if isinstance(command, Group):
        return GroupCommand(command.name, command.help, list(map(_as_airflow, command.commands)))
    return ActionCommand(
        name=command.name,
        help=command.help,
        description=command.description,
        func=_exiting(command),
        args=[
            Arg(argument.flags, **argument.options)  # type: ignore[no-untyped-call]  # Airflow's
            for argument in command.arguments
        ],
    )


def _exiting(command: Command) -> Callable[[argparse.Namespace], None]:
    def run(options: argparse.Namespace) -> None:
        sys.exit(command.run(options))

    return run
