# SPDX-License-Identifier: Apache-2.0
"""Apache Airflow provider for Data Lake Insight (DLI). Importing it imports nothing else."""

__version__ = "0.1.0"
