# SPDX-License-Identifier: Apache-2.0
"""Spark batch jobs: one submitted, followed to its end, and explained."""
