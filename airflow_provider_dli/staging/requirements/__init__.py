# SPDX-License-Identifier: Apache-2.0
"""Python dependencies: what requirements ask for, collected by pip into one zip."""
