# SPDX-License-Identifier: Apache-2.0
"""Sensors, one module for each resource of DLI."""
