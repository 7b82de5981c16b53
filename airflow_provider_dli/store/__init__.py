# SPDX-License-Identifier: Apache-2.0
"""OBS as such: requests that the vendor's client composes, and files that are sent in parts."""
