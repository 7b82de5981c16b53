# SPDX-License-Identifier: Apache-2.0
"""What staging records in the bucket, since DLI does not show what its packages contain."""
