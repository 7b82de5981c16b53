# SPDX-License-Identifier: Apache-2.0
"""The doctor: checks a connection, finds the cause of a problem, and names the remedy."""
