"""The tests that fsspec ships for whoever writes a file system."""

from __future__ import annotations

from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem, make_path_posix
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)

from airflow_provider_dli.fs.obs import ObsFileSystem


class OnObs(AbstractFixtures):
    """The file system, a bucket in it, and a folder of this machine."""

    @pytest.fixture
    def fs(self, files: ObsFileSystem) -> ObsFileSystem:
        return files

    @pytest.fixture
    def fs_path(self, bucket: str) -> str:
        return bucket

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False

    @pytest.fixture
    def local_fs(self) -> LocalFileSystem:
        return LocalFileSystem(auto_mkdir=True)

    @pytest.fixture
    def local_path(self, tmp_path: Any) -> str:
        return str(make_path_posix(str(tmp_path)))


class TestCopy(OnObs, AbstractCopyTests):
    pass


class TestGet(OnObs, AbstractGetTests):
    pass


class TestOpen(OnObs, AbstractOpenTests):
    pass


class TestPipe(OnObs, AbstractPipeTests):
    pass


class TestPut(OnObs, AbstractPutTests):
    pass
