# SPDX-License-Identifier: Apache-2.0
"""How any of the services is asked: requests, answers, errors, retries, waits."""
