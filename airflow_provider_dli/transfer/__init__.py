# SPDX-License-Identifier: Apache-2.0
"""Many bytes on their way to a bucket: threads, parts, what was broken off before, progress."""
