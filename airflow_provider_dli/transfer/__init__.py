# SPDX-License-Identifier: Apache-2.0
"""Uploads of files to a bucket: threads, parts, resumed uploads, progress."""
