# SPDX-License-Identifier: Apache-2.0
"""File systems for Airflow's `ObjectStoragePath`."""
