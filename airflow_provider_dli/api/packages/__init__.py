# SPDX-License-Identifier: Apache-2.0
"""Packages and package groups of DLI: calls, models, waits."""
