# SPDX-License-Identifier: Apache-2.0
"""Links that Airflow's UI shows with a task, one module for each resource of DLI."""
