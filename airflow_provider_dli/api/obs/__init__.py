# SPDX-License-Identifier: Apache-2.0
"""OBS as such: its requests and answers, and what is done with the objects of a bucket."""
