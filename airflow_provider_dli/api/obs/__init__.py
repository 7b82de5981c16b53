# SPDX-License-Identifier: Apache-2.0
"""Object storage (OBS): requests, answers, and operations on the objects of a bucket."""
