# SPDX-License-Identifier: Apache-2.0
"""Spark batch jobs as DLI keeps them, and what makes them move on: a timeline, or a real Spark."""
