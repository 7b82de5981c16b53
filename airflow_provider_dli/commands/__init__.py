# SPDX-License-Identifier: Apache-2.0
"""What is started from a shell. Importing it imports nothing of Airflow."""

from airflow_provider_dli.commands import doctor, stage

COMMANDS = (doctor.COMMAND, stage.COMMAND)
