# SPDX-License-Identifier: Apache-2.0
"""From files to packages: what is to be staged, under which names, and what is there already."""
