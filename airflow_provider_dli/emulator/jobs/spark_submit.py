# SPDX-License-Identifier: Apache-2.0
"""The local PySpark and Java, and the command that starts a job of DLI with them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from airflow_provider_dli.emulator.messages import JsonObject

# https://spark.apache.org/docs/3.5.0/ names Java 8, 11 and 17; this project ran it on 21 as well.
OLDEST_JAVA, NEWEST_JAVA = 8, 21
# Two parallel tasks reveal bugs in a job that was only tried with one.
MASTER = "local[2]"

_JAVA_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_DRIVER_OPTIONS = "spark.driver.extraJavaOptions"
_OBS = "spark.hadoop.fs"
_NOT_HONOURED = (
    "spark_version",
    "feature",
    "image",
    "modules",
    "catalog_name",
    "execution_agency_urn",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkSubmit:
    """An installation. `home` is the folder of PySpark; `java_home` None means Java in `PATH`."""

    home: Path
    version: str
    java_home: Path | None
    java_version: int

    @classmethod
    def found(cls) -> SparkSubmit:
        """Returns the local installation; raises ValueError if something is missing."""
        pyspark = find_spec("pyspark")
        if pyspark is None or pyspark.origin is None:
            raise ValueError("Local Spark needs PySpark: pip install 'airflow-provider-dli[spark]'")
        java_home, java_version = _java()
        return cls(
            home=Path(pyspark.origin).parent,
            version=version("pyspark"),
            java_home=java_home,
            java_version=java_version,
        )

    def command(self, request: JsonObject, buckets: Mapping[str, Path], folder: Path) -> list[str]:
        """Returns the command line of a job with copies of its buckets in these folders.

        The numbers and sizes of executors are ignored, since there is no cluster.
        """
        return [
            str(self.home / "bin" / "spark-submit"),
            *("--master", MASTER, "--deploy-mode", "client"),
            *_options(request),
            *_confs(request.get("conf", {}), buckets, folder),
            request["file"],
            *request.get("args", ()),
        ]

    def environment(self, folder: Path) -> dict[str, str]:
        """Returns the environment of a job that writes files only into a folder.

        It has no variables of the emulator, as on the cloud.
        """
        java = {} if self.java_home is None else {"JAVA_HOME": str(self.java_home)}
        return {
            **java,
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "SPARK_HOME": str(self.home),
            "SPARK_LOCAL_DIRS": str(folder),
            # Only for local connections.
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LAUNCHER_OPTS": "-XX:-UsePerfData",
            "PYSPARK_PYTHON": sys.executable,
            "PYTHONUNBUFFERED": "1",
        }

    def remark(self, request: JsonObject) -> str:
        """Returns the differences from the cloud, for the first line of the driver log."""
        text = (
            f"DLI emulator: on Spark {self.version}, Java {self.java_version} and "
            f"Python {sys.version_info.major}.{sys.version_info.minor} of this machine"
        )
        ignored = [name for name in _NOT_HONOURED if request.get(name)]
        return f"{text}, whatever the job asks for in {', '.join(ignored)}" if ignored else text


def _java() -> tuple[Path | None, int]:
    named = os.environ.get("JAVA_HOME")
    program = str(Path(named, "bin", "java")) if named else "java"
    where = f"JAVA_HOME={named}" if named else "PATH"
    if shutil.which(program) is None:
        raise ValueError(f"Local Spark needs Java, and there is none in {where}: {_remedy()}")
    answer = subprocess.run([program, "-version"], capture_output=True, text=True)  # noqa: S603 - the user's own
    text = f"{answer.stderr}{answer.stdout}"
    found = _JAVA_VERSION.search(text)
    if answer.returncode or found is None:
        raise ValueError(f"Java in {where} does not start ({text.strip()!r}): {_remedy()}")
    number = int(found[1])
    if not OLDEST_JAVA <= number <= NEWEST_JAVA:
        raise ValueError(f"Java {number} in {where} does not suit PySpark 3.5: {_remedy()}")
    return Path(named) if named else None, number


def _remedy() -> str:
    return (
        f"set JAVA_HOME to Java {OLDEST_JAVA} to {NEWEST_JAVA}, or install it "
        "(Debian 12: apt-get install openjdk-17-jre-headless)"
    )


def _options(request: JsonObject) -> Iterator[str]:
    one = {"--name": "name", "--driver-memory": "driverMemory", "--class": "className"}
    for option, field in one.items():
        if request.get(field):
            yield from (option, request[field])
    several = {"--jars": "jars", "--py-files": "pyFiles", "--files": "files"}
    for option, field in several.items():
        if request.get(field):
            yield from (option, ",".join(request[field]))


def _confs(given: JsonObject, buckets: Mapping[str, Path], folder: Path) -> Iterator[str]:
    settings = {
        # It would listen on a port, and end with the job.
        "spark.ui.enabled": "false",
        **given,
        # Maps obs://BUCKET to a folder without the JAR of OBS, by Hadoop's view of file systems.
        # `linkMergeSlash` would fit better, but the paths it lists are broken (3.3.4).
        f"{_OBS}.obs.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        # Not LocalFileSystem, which writes a checksum file for each file.
        f"{_OBS}.viewfs.overload.scheme.target.obs.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        **{
            f"{_OBS}.viewfs.mounttable.{bucket}.linkFallback": f"obs://{path}"
            for bucket, path in buckets.items()
        },
        # Jobs here are short, and the optimizing compiler would take half of their time.
        _DRIVER_OPTIONS: f"-XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.io.tmpdir={folder} "
        f"{given.get(_DRIVER_OPTIONS, '')}".strip(),
    }
    for name, value in settings.items():
        yield from ("--conf", f"{name}={value if isinstance(value, str) else json.dumps(value)}")
