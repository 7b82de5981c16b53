# SPDX-License-Identifier: Apache-2.0
"""Authentication and endpoints: accounts, credentials, their sources, and addresses."""
