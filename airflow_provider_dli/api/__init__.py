# SPDX-License-Identifier: Apache-2.0
"""DLI, IAM and OBS: their calls, answers, errors and rules, without Airflow, sockets or clock."""
