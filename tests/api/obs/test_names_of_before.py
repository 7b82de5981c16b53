# SPDX-License-Identifier: Apache-2.0
"""Names that tasks of version 0.1 import."""

from __future__ import annotations

import importlib
import sys

import pytest

from airflow_provider_dli.api.obs import models


def test_the_place_of_objects_in_version_0_1_warns_and_has_the_same_classes() -> None:
    sys.modules.pop("airflow_provider_dli.api.objects", None)

    with pytest.warns(DeprecationWarning, match=r"airflow_provider_dli\.api\.obs\.models"):
        before = importlib.import_module("airflow_provider_dli.api.objects")

    assert before.FileToSend is models.FileToSend
    assert before.StoredObject is models.StoredObject
