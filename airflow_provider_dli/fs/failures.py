# SPDX-License-Identifier: Apache-2.0
"""Our errors in the words of a file system: what is absent, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, ENOENT

from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
)


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Raise an absent object as `FileNotFoundError`, a refusal as `PermissionError`.

    They say what our own error says, and it is their cause. Anything else stays what it is.
    """
    try:
        yield
    except NotFoundError as error:
        raise FileNotFoundError(ENOENT, str(error)) from error
    except (PermissionDeniedError, AuthenticationError) as error:
        raise PermissionError(EACCES, str(error)) from error
