# SPDX-License-Identifier: Apache-2.0
"""Triggers, one module for each resource of DLI."""
