# SPDX-License-Identifier: Apache-2.0
"""The commands of the package: `python -m airflow_provider_dli doctor`, `… stage`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_provider_dli.commands import COMMANDS


def main(arguments: Sequence[str]) -> int:
    """Run a command; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_dli", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in COMMANDS:
        added = commands.add_parser(
            command.name, help=command.help, description=command.description, allow_abbrev=False
        )
        for argument in command.arguments:
            added.add_argument(*argument.flags, **argument.options)
        added.set_defaults(run=command.run)
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status


if __name__ == "__main__":
    status = main(sys.argv[1:])
    # What Airflow logs when the process ends is no part of the report.
    sys.stdout.flush()
    sys.stdout = sys.stderr
    sys.exit(status)
