# SPDX-License-Identifier: Apache-2.0
"""What is started from a shell. Importing it imports nothing of Airflow."""

from airflow_provider_dli.commands import doctor, job_log, jobs, orphans, stage
from airflow_provider_dli.commands.command import Group

JOBS = Group(
    name="jobs",
    help="List Spark jobs, read their logs, cancel them, find those that nobody waits for",
    commands=(jobs.LIST, job_log.COMMAND, jobs.CANCEL, orphans.COMMAND),
)
COMMANDS = (doctor.COMMAND, JOBS, stage.COMMAND)
