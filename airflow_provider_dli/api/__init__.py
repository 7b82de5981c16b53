# SPDX-License-Identifier: Apache-2.0
"""DLI as such: its endpoints, answers, errors and rules. No Airflow, no sockets, no clock."""
