# SPDX-License-Identifier: Apache-2.0
"""What earlier runs staged and nothing uses any more."""
