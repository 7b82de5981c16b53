# SPDX-License-Identifier: Apache-2.0
"""What staging wrote down, since DLI tells nothing of what its packages hold."""
