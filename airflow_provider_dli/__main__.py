# SPDX-License-Identifier: Apache-2.0
"""The commands of the package: `python -m airflow_provider_dli doctor`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_provider_dli.commands import doctor


def main(arguments: Sequence[str]) -> int:
    """Run a command; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_dli", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser(
        "doctor", help=doctor.HELP, description=doctor.DESCRIPTION, allow_abbrev=False
    )
    doctor.add_arguments(command)
    return doctor.run(parser.parse_args(arguments))


if __name__ == "__main__":
    status = main(sys.argv[1:])
    # What Airflow logs when the process ends is no part of the report.
    sys.stdout.flush()
    sys.stdout = sys.stderr
    sys.exit(status)
