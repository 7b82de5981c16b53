# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with a connection, how it is found out, and what to do."""
