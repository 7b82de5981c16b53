# SPDX-License-Identifier: Apache-2.0
"""Deletes what earlier runs staged and nothing uses anymore."""
