# SPDX-License-Identifier: Apache-2.0
"""Who calls, and where: accounts, credentials and where they come from, addresses."""
