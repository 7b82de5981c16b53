# SPDX-License-Identifier: Apache-2.0
"""Hooks: one account's DLI for operators and for `@task` functions."""
