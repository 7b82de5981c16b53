# SPDX-License-Identifier: Apache-2.0
"""Addresses as they may be shown."""

from __future__ import annotations

import re


def without_secrets(text: str) -> str:
    """Return text without the user, password and query of any address in it.

    A query may hold a signature. Rather too little is left than one of them.
    """
    return re.sub(r"\?[^\s?]\S*", "?…", re.sub(r"//\S*@", "//***@", text))
