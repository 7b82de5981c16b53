# SPDX-License-Identifier: Apache-2.0
"""Operators, one module for each resource of DLI."""
