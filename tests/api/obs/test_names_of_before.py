# SPDX-License-Identifier: Apache-2.0
"""What tasks of version 0.1 import goes on to be there."""

from __future__ import annotations

from airflow_provider_dli.api import objects
from airflow_provider_dli.api.obs import models


def test_the_names_of_objects_are_where_they_were() -> None:
    assert objects.FileToSend is models.FileToSend
    assert objects.StoredObject is models.StoredObject
