# SPDX-License-Identifier: Apache-2.0
"""Python dependencies of wheels and requirements files, collected by pip into one zip."""
