# SPDX-License-Identifier: Apache-2.0
"""Runs flows: the only package that opens sockets and sleeps."""
