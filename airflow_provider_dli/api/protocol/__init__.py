# SPDX-License-Identifier: Apache-2.0
"""What all services share: requests, answers, errors, retries, waits, the client."""
