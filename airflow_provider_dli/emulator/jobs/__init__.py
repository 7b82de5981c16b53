# SPDX-License-Identifier: Apache-2.0
"""Spark batch jobs, which follow a timeline or run on a local Spark."""
