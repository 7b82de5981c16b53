# SPDX-License-Identifier: Apache-2.0
"""How an installed Spark is found, and how a job of DLI becomes a call of spark-submit."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest
from emulator.jobs.spark_stand_in import installation, program

from airflow_provider_dli.emulator.jobs.spark_submit import SparkSubmit


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a Java there that calls itself so."""

    def install(text: str, status: int = 0) -> Path:
        script = f"#!/bin/sh\ncat >&2 <<'END'\n{text}\nEND\nexit {status}\n"
        program(tmp_path / "java" / "bin" / "java", script)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
        return tmp_path / "java"

    return install


@pytest.fixture
def pyspark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a PySpark there that holds nothing."""
    folder = tmp_path / "site" / "pyspark"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    information = tmp_path / "site" / "pyspark-3.5.9.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: pyspark\nVersion: 3.5.9\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


def test_pyspark_and_java_are_found(pyspark, java):
    home = java('openjdk version "17.0.15" 2025-04-15')

    found = SparkSubmit.found()

    assert found == SparkSubmit(home=pyspark, version="3.5.9", java_home=home, java_version=17)


def test_java_is_found_on_the_path(pyspark, java, monkeypatch):
    home = java('openjdk version "1.8.0_442"')
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", f"{home}/bin:/bin")

    found = SparkSubmit.found()

    assert (found.java_home, found.java_version) == (None, 8)


def test_without_pyspark_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", None)

    with pytest.raises(ValueError, match=r"pip install 'airflow-provider-dli\[spark\]'"):
        SparkSubmit.found()


@pytest.mark.usefixtures("pyspark")
def test_without_java_it_is_said_where_it_was_looked_for_and_how_to_install_it(monkeypatch):
    monkeypatch.setenv("JAVA_HOME", "/nowhere")

    with pytest.raises(ValueError, match=r"JAVA_HOME=/nowhere.*openjdk-17-jre-headless"):
        SparkSubmit.found()


@pytest.mark.usefixtures("pyspark")
def test_without_java_on_the_path_that_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ValueError, match="there is none in PATH"):
        SparkSubmit.found()


@pytest.mark.usefixtures("pyspark")
@pytest.mark.parametrize(
    ("version", "number"), [("1.7.0_80", "7"), ("22", "22"), ("25.0.1", "25"), ("26-ea", "26")]
)
def test_a_java_that_is_too_old_or_too_new_is_named(java, version, number):
    java(f'openjdk version "{version}" 2025-04-15')

    with pytest.raises(ValueError, match=f"Java {number} in JAVA_HOME=.*Java 8 to 21"):
        SparkSubmit.found()


@pytest.mark.usefixtures("pyspark")
@pytest.mark.parametrize("status", [0, 1])
def test_a_java_that_does_not_start_says_why(java, status):
    java("Unable to locate a Java Runtime.", status)

    with pytest.raises(ValueError, match=r"does not start \('Unable to locate a Java Runtime\.'\)"):
        SparkSubmit.found()


@pytest.fixture
def command(tmp_path: Path):
    """Returns the arguments of spark-submit for a job."""

    def compose(**request: object) -> list[str]:
        spark = installation(tmp_path, "")
        fields = {"file": "obs://bucket/main.py", **request}
        return spark.command(fields, {"bucket": Path("/copies/bucket")}, Path("/own"))

    return compose


def value(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def confs(command: list[str]) -> dict[str, str]:
    given = [after for before, after in pairwise(command) if before == "--conf"]
    return dict(one.split("=", 1) for one in given)


def test_the_main_file_comes_last_with_its_arguments(command):
    assert command(args=["--conf", "b"])[-3:] == ["obs://bucket/main.py", "--conf", "b"]


def test_a_job_runs_on_this_machine_whatever_its_conf_says(command):
    given = command(conf={"spark.master": "yarn"})

    assert value(given, "--master") == "local[2]"


def test_files_of_each_kind_are_handed_over(command):
    given = command(jars=["a.jar", "b.jar"], pyFiles=["c.zip"], files=["d.txt"])

    assert value(given, "--jars") == "a.jar,b.jar"
    assert value(given, "--py-files") == "c.zip"
    assert value(given, "--files") == "d.txt"


def test_class_name_and_memory_of_the_driver_are_handed_over(command):
    given = command(className="com.example.Main", name="my job", driverMemory="2G")

    assert value(given, "--class") == "com.example.Main"
    assert value(given, "--name") == "my job"
    assert value(given, "--driver-memory") == "2G"


def test_fields_that_are_empty_are_left_out(command):
    assert "--class" not in command(className="")


def test_values_of_the_conf_are_spelled_as_spark_reads_them(command):
    given = confs(command(conf={"spark.a": "text", "spark.b": True, "spark.c": 3}))

    assert (given["spark.a"], given["spark.b"], given["spark.c"]) == ("text", "true", "3")


def test_a_bucket_is_a_folder_whatever_the_conf_says(command):
    given = confs(
        command(conf={"spark.hadoop.fs.obs.impl": "org.apache.hadoop.fs.obs.OBSFileSystem"})
    )

    mounted = "spark.hadoop.fs.viewfs.mounttable.bucket.linkFallback"
    assert given[mounted] == "obs:///copies/bucket"
    assert "ViewFileSystemOverloadScheme" in given["spark.hadoop.fs.obs.impl"]


def test_the_options_of_the_driver_come_after_ours(command):
    name = "spark.driver.extraJavaOptions"

    given = confs(command(conf={name: "-XX:TieredStopAtLevel=4"}))

    assert given[name].endswith(" -Djava.io.tmpdir=/own -XX:TieredStopAtLevel=4")


def test_the_environment_names_the_java_that_was_found(tmp_path):
    spark = SparkSubmit(home=tmp_path, version="3.5.9", java_home=Path("/java"), java_version=17)

    environment = spark.environment(Path("/own"))

    assert environment["JAVA_HOME"] == "/java"
    assert environment["PYSPARK_PYTHON"] == sys.executable


def test_the_remark_names_what_is_not_honoured(tmp_path):
    spark = installation(tmp_path, "")

    remark = spark.remark({"spark_version": "3.3.1", "image": "", "feature": "ai"})

    assert remark.endswith(" of this machine, whatever the job asks for in spark_version, feature")
