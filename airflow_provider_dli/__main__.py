# SPDX-License-Identifier: Apache-2.0
"""The command line: `python -m airflow_provider_dli doctor`, `… jobs`, `… stage`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_provider_dli.commands import COMMANDS
from airflow_provider_dli.commands.command import Command, Group


def main(arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_dli", allow_abbrev=False)
    _add(parser, COMMANDS)
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status


def _add(parser: argparse.ArgumentParser, commands: Sequence[Command | Group]) -> None:
    parsers = parser.add_subparsers(required=True, metavar="command")
    for command in commands:
        if isinstance(command, Group):
            group = parsers.add_parser(command.name, help=command.help, allow_abbrev=False)
            _add(group, command.commands)
            continue
        added = parsers.add_parser(
            command.name, help=command.help, description=command.description, allow_abbrev=False
        )
        for argument in command.arguments:
            added.add_argument(*argument.flags, **argument.options)
        added.set_defaults(run=command.run)


if __name__ == "__main__":
    status = main(sys.argv[1:])
    # What Airflow logs when the process ends is not part of the report.
    sys.stdout.flush()
    sys.stdout = sys.stderr
    sys.exit(status)
