# SPDX-License-Identifier: Apache-2.0
"""A job is spelled as DLI spells it; what cannot work is refused before it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dli.api.jobs.models import SparkBatch
from airflow_provider_dli.api.jobs.spark_job import FIELDS, SparkJob
from airflow_provider_dli.api.protocol.errors import InputError

PROGRAM = "obs://bucket/spark/main.py"


def job(**fields: Any) -> SparkJob:
    """Make a job of Spark 3.1.1, where most is allowed."""
    return SparkJob(**{"file": PROGRAM, "queue": "q", "spark_version": "3.1.1", **fields})


def modern(**fields: Any) -> SparkJob:
    """Make a job of an engine that takes files by their paths only."""
    return job(spark_version="3.3.1", **fields)


def refusal(field: str, make: Callable[..., SparkJob] = job, **fields: Any) -> str:
    """Give the text of the refusal, after making sure that it begins with the field."""
    with pytest.raises(InputError) as refused:
        make(**fields)
    assert refused.value.field.startswith(field)
    return str(refused.value)


# what a template made of nothing


OPTIONAL = [*sorted(set(FIELDS) - {"file", "queue", "spark_version"})]


@pytest.mark.parametrize("field", OPTIONAL)
@pytest.mark.parametrize("nothing", ["", "  ", "\n"])
def test_a_blank_field_is_none_that_was_given(field: str, nothing: str) -> None:
    assert job(**{field: nothing}) == job()
    assert job(**{field: nothing}).as_wire() == job().as_wire()


@pytest.mark.parametrize("field", [*OPTIONAL, "file", "queue", "spark_version"])
@pytest.mark.parametrize("word", ["None", "null", "NONE "])
def test_a_field_for_which_a_template_rendered_nothing_is_named(field: str, word: str) -> None:
    assert f"{field} is {word!r}: a template rendered nothing" in refusal(field, **{field: word})


def test_arguments_of_the_program_may_be_such_words() -> None:
    assert job(args=["None", "null", ""]).as_wire()["args"] == ["None", "null", ""]


# the wire


def test_every_field_has_its_spelling() -> None:
    whole = job(
        file="g/main.jar",
        class_name="org.example.Main",
        args=["in", 7],
        name="n",
        sc_type="A",
        jars=["a.jar"],
        py_files=["g/b.zip"],
        files=["obs://bucket/c.txt"],
        modules=["sys.datasource.hbase"],
        resources=[{"name": "g/d.jar", "type": "jar"}],
        groups=[{"name": "g", "resources": [{"name": "e.jar", "type": "jar"}]}, "h"],
        conf={"spark.a": "b"},
        driver_memory="2G",
        driver_cores=1,
        executor_memory="2048M",
        executor_cores=2,
        num_executors=3,
        obs_bucket="bucket",
        auto_recovery=True,
        max_retry_times=5,
        feature="custom",
        image="organisation/name:tag",
        catalog_name="dli",
        execution_agency_urn="agency",
    )

    assert whole.as_wire() == {
        "file": "g/main.jar",
        "className": "org.example.Main",
        "args": ["in", "7"],
        "queue": "q",
        "name": "n",
        "sc_type": "A",
        "jars": ["a.jar"],
        "pyFiles": ["g/b.zip"],
        "files": ["obs://bucket/c.txt"],
        "modules": ["sys.datasource.hbase"],
        "resources": [{"name": "g/d.jar", "type": "jar"}],
        "groups": [{"name": "g", "resources": [{"name": "e.jar", "type": "jar"}]}, {"name": "h"}],
        "conf": {"spark.a": "b"},
        "driverMemory": "2G",
        "driverCores": 1,
        "executorMemory": "2048M",
        "executorCores": 2,
        "numExecutors": 3,
        "obs_bucket": "bucket",
        "auto_recovery": True,
        "max_retry_times": 5,
        "feature": "custom",
        "spark_version": "3.1.1",
        "image": "organisation/name:tag",
        "catalog_name": "dli",
        "execution_agency_urn": "agency",
    }


def test_what_is_not_given_is_not_sent() -> None:
    assert job(jars=[], conf={}, groups=(), args=None).as_wire() == {
        "file": PROGRAM,
        "className": "",
        "queue": "q",
        "spark_version": "3.1.1",
    }


def test_the_documented_request_is_spelled_the_same(golden: Callable[[str], bytes]) -> None:
    documented = json.loads(golden("doc_batch_create_camel.request"))
    # Two fields that the reference does not have.
    rest = {
        k: v for k, v in documented.items() if k not in ("minRecoveryDelayTime", "maxRetryTimes")
    }
    asked = SparkJob(
        file="spark-examples_2.11-2.1.0.luxor.jar",
        class_name="org.apache.spark.examples.SparkPi",
        queue="cce_general",
        sc_type="A",
        jars=["spark-examples_2.11-2.1.0.luxor.jar"],
        driver_memory="1G",
        driver_cores=1,
        executor_memory="1G",
        executor_cores=1,
        num_executors=1,
        spark_version="2.3.2",
    )

    assert asked.as_wire() == rest | {"spark_version": "2.3.2"}


def test_the_vendors_client_knows_every_field() -> None:
    from huaweicloudsdkdli.v1.model.create_spark_job_request_body import CreateSparkJobRequestBody

    theirs = CreateSparkJobRequestBody.attribute_map
    assert {name: field.wire for name, field in FIELDS.items() if field.wire} == {
        name: spelled for name, spelled in theirs.items() if name != "cluster_name"
    }


names = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,20}", fullmatch=True)
members = st.fixed_dictionaries({"name": names, "type": st.sampled_from(["jar", "pyFile", "file"])})


@settings(database=None, deadline=None)
@given(
    groups=st.dictionaries(names, st.lists(members, max_size=3), max_size=3),
    jars=st.lists(st.tuples(names, names), max_size=3),
    arguments=st.lists(st.text(st.characters(codec="utf-8"))),
)
def test_what_is_sent_is_what_the_service_tells_of_the_job(
    groups: dict[str, list[dict[str, str]]], jars: list[tuple[str, str]], arguments: list[str]
) -> None:
    asked = job(
        groups=[{"name": name, "resources": found} for name, found in groups.items()],
        jars=[f"{group}/{name}" for group, name in jars],
        args=arguments,
    ).as_wire()

    told = SparkBatch.from_wire({"id": "1", "req_body": msgspec.json.encode(asked).decode()})

    assert told.request == asked
    assert told.named_groups == set(groups) | {group for group, _ in jars}


# the file


@pytest.mark.parametrize("place", ["main.py", "group.1/main.py", PROGRAM, "obs://bucket/a b/ü.PY"])
def test_a_file_may_be_a_package_or_a_path(place: str) -> None:
    assert job(file=place).as_wire()["file"] == place


@pytest.mark.parametrize(
    "place",
    [
        None,
        "",
        " main.py",
        "main.py\n",
        "/home/me/main.py",
        "a/b/main.py",
        "./main.py",
        "../main.py",
        "~/main.py",
        "s3://bucket/main.py",
        "s3a:/main.py",
        "obs://main.py",
        "obs://bucket//main.py",
        "obs://bucket/main.py/",
        "https://bucket.obs.region.example.com/main.py",
        "main.sh",
        "main",
        "obs://bucket/",
        7,
        ["main.py"],
    ],
)
def test_what_is_no_program_is_refused(place: Any) -> None:
    refusal("file", file=place)


def test_an_https_address_is_told_how_to_be_written() -> None:
    said = refusal("file", file="https://bucket.obs.region.example.com/main.py")

    assert said.endswith(": jobs take files in OBS as obs://bucket/key")


@pytest.mark.parametrize("name", [None, ""])
def test_a_jar_needs_its_main_class(name: str | None) -> None:
    said = refusal("class_name", file="g/main.JAR", class_name=name)

    assert said.endswith(": name the main class of g/main.JAR")


def test_a_main_class_is_one_word_of_text() -> None:
    refusal("class_name", class_name=" org.example.Main")


# values


@pytest.mark.parametrize(
    ("value", "sent"),
    [(True, "true"), (False, "false"), (7, "7"), (0.5, "0.5"), ("x y", "x y"), ("", "")],
)
def test_a_setting_becomes_text(value: object, sent: str) -> None:
    assert job(conf={"spark.a": value}).as_wire()["conf"] == {"spark.a": sent}


def test_tags_become_settings() -> None:
    tagged = job(conf={"spark.a": 1}, tags={"team": "data", "cost.centre": "7"})

    assert tagged.as_wire()["conf"] == {
        "spark.a": "1",
        "spark.airflow.tag.team": "data",
        "spark.airflow.tag.cost.centre": "7",
    }


@pytest.mark.parametrize("given", ["2G", "2048M", "512m", "1g"])
def test_memory_has_a_unit(given: str) -> None:
    assert job(driver_memory=given, executor_memory=given).as_wire()["driverMemory"] == given


@pytest.mark.parametrize(
    ("field", "given", "spelled", "sent"),
    [
        ("driver_cores", "2", "driverCores", 2),
        ("num_executors", " 3 ", "numExecutors", 3),
        ("auto_recovery", "True", "auto_recovery", True),
        ("auto_recovery", "false", "auto_recovery", False),
    ],
)
def test_what_a_template_gives_as_text_is_read(
    field: str, given: str, spelled: str, sent: object
) -> None:
    assert job(**{field: given}).as_wire()[spelled] == sent


@pytest.mark.parametrize("times", [0, 100, "20"])
def test_retries_are_counted_where_there_are_any(times: Any) -> None:
    asked = job(auto_recovery=True, max_retry_times=times)

    assert asked.as_wire()["max_retry_times"] == int(times)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("queue", None, "every job needs it"),
        ("queue", " test", "use text without blanks around it"),
        ("queue", "", "every job needs it"),
        ("queue", "None", "a template rendered nothing"),
        ("name", "n" * 129, "use at most 128 characters"),
        ("name", "two\nlines", "use text without blanks around it"),
        ("sc_type", "D", "use one of A, B, C"),
        ("jars", "a.jar", "use a list"),
        ("jars", ["/home/me/a.jar"], "use obs://bucket/key, group/package, or the name of a"),
        ("py_files", iter(["a.py"]), "use a list"),
        ("files", {"a.txt": 1}, "use a list"),
        ("files", {"a.txt"}, "use a list"),
        ("args", {"a"}, "use a list of texts and numbers"),
        ("files", [None], "use text without blanks"),
        ("modules", [7], "use text without blanks"),
        ("resources", ["a.jar"], 'each package is {"name": …, "type": …}'),
        ("resources", [{"name": "a.jar"}], 'each package is {"name": …, "type": …}'),
        ("resources: a type", [{"name": "a", "type": "x"}], "use one of jar, pyFile, file"),
        ("groups", "g", "use a list"),
        ("groups", [7], "or the name of a group"),
        ("groups", [{"group": "g"}], "or the name of a group"),
        ("groups", [{}], "give the name as DLI lists it"),
        ("groups", [{"name": "g", "resources": "a.jar"}], "use a list"),
        ("driver_memory", "2", "use a whole number with its unit, such as 2G or 2048M"),
        ("driver_memory", 2, "use a whole number with its unit"),
        ("executor_memory", "1.5G", "use a whole number with its unit"),
        ("executor_memory", "0G", "use a whole number with its unit"),
        ("driver_cores", 0, "use a whole number of at least 1"),
        ("executor_cores", 1.5, "use a whole number of at least 1"),
        ("executor_cores", True, "use a whole number of at least 1"),
        ("num_executors", "many", "use a whole number of at least 1"),
        ("obs_bucket", "null", "a template rendered nothing"),
        ("modules", ["none"], "a template rendered nothing"),
        ("auto_recovery", "yes", "use True or False"),
        ("max_retry_times", 101, "use a whole number from 0 to 100"),
        ("max_retry_times", 5, "it has no effect without auto_recovery=True"),
        ("feature", "fast", "use one of basic, custom, ai"),
        ("feature", ["ai"], "use one of basic, custom, ai"),
        ("image", "o/n:t", "it has no effect without feature='custom'"),
        ("catalog_name", "hive", "use one of dli"),
        ("execution_agency_urn", " agency", "use text without blanks"),
        ("spark_version", None, "name the engine, such as 3.3.1: without it DLI uses an old one"),
        ("spark_version", "three", "give it as 3.1.1 or 3.3.1"),
        ("spark_version", 3.3, "give it as 3.1.1 or 3.3.1"),
        ("tags", ["a"], 'use {"key": "value"}'),
        ("tags key", {"a b": "c"}, "use 1 to 128 letters, digits, dots"),
        ("tags['a']", {"a": 7}, "use one line of at most 255 characters"),
        ("tags['a']", {"a": "x" * 256}, "use one line of at most 255 characters"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(field: str, value: object, rule: str) -> None:
    name = field.partition(" ")[0].partition("[")[0].strip(":")

    assert rule in refusal(field, **{name: value})


def test_recovery_that_is_off_has_no_retries() -> None:
    refusal("max_retry_times", auto_recovery=False, max_retry_times=5)


def test_an_image_of_its_own_is_named() -> None:
    assert "feature='custom' needs it" in refusal("image", feature="custom")


def test_an_image_of_its_own_need_not_tell_its_engine() -> None:
    asked = job(feature="custom", image="o/n:t", spark_version=None, groups=["g"])

    assert "spark_version" not in asked.as_wire()
    assert asked.warnings == ()


# secrets


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("conf", "spark.secret.key=hidden", "conf is <class 'str'>: use"),
        ("conf", {"spark.secret.key": ["hidden"]}, "conf['spark.secret.key'] is <class 'list'>"),
        ("conf", {"spark.secret.key": None}, "conf['spark.secret.key'] is missing"),
        ("conf", {"spark.secret.key": "hidden\ud800"}, "it is not valid Unicode text"),
        ("conf", {7: "hidden"}, "conf: a key is 7"),
        ("args", "--password hidden", "args is <class 'str'>: use a list of texts and numbers"),
        ("args", ["ok", {"password": "hidden"}], "args[1] is <class 'dict'>"),
        ("args", ["hidden", True], "args[1] is <class 'bool'>: use text or a number"),
        ("args", ["hidden\ud800"], "args[0] is <class 'str'>: it is not valid Unicode text"),
    ],
)
def test_a_refusal_shows_no_argument_and_no_setting(field: str, value: Any, said: str) -> None:
    text = refusal(field, **{field: value})

    assert said in text
    assert "hidden" not in text


def test_tags_beside_settings_of_a_wrong_shape_leave_them_to_be_refused() -> None:
    refusal("conf", conf="spark.a=b", tags={"a": "b"})


def test_a_job_does_not_show_its_arguments_and_settings() -> None:
    assert "hidden" not in repr(job(args=["hidden"], conf={"spark.secret.key": "hidden"}))


# engines


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("groups", ["g"]),
        ("resources", [{"name": "g/a.jar", "type": "jar"}]),
        ("file", "main.py"),
        ("file", "g/main.py"),
        ("jars", ["obs://bucket/a.jar", "b.jar"]),
        ("py_files", ["g/b.zip"]),
        ("files", ["c.txt"]),
    ],
)
def test_an_engine_that_takes_paths_only_is_told_the_way_out(field: str, value: object) -> None:
    said = refusal(field, modern, **{field: value})

    assert said.endswith(
        ": Spark 3.3.1 takes files as obs:// paths only: stage them with target='obs' and pass its "
        "output as packages, or name them in file, jars, py_files and files as obs://bucket/key"
    )


def test_an_engine_that_takes_paths_only_takes_paths() -> None:
    asked = modern(jars=["obs://bucket/a.jar"], groups=[], resources=None)

    assert asked.as_wire()["jars"] == ["obs://bucket/a.jar"]


def test_an_engine_that_needs_an_agency_is_warned_of() -> None:
    assert modern().warnings == (
        "Spark 3.3.1 needs an agency to read OBS, and the job names none: set "
        "execution_agency_urn, or spark.dli.job.agency.name in conf.",
    )


@pytest.mark.parametrize(
    "fields", [{"execution_agency_urn": "a"}, {"conf": {"spark.dli.job.agency.name": "a"}}]
)
def test_an_agency_may_be_named_in_two_places(fields: dict[str, Any]) -> None:
    asked = modern(**fields)

    assert (asked.agency, asked.warnings) == ("a", ())


def test_an_agency_on_an_older_engine_is_warned_of() -> None:
    assert job(execution_agency_urn="a").warnings == (
        "execution_agency_urn is for Spark 3.3 and later; it may have no effect on Spark 3.1.1.",
    )


def test_modules_on_a_newer_engine_are_warned_of() -> None:
    assert job(modules=["sys.datasource.hbase", "sys.datasource.rds"]).warnings == (
        "Spark 3.1.1 loads data sources by settings in conf, not by modules: "
        "sys.datasource.hbase, sys.datasource.rds may not be found.",
    )


def test_modules_on_an_older_engine_are_as_they_should_be() -> None:
    assert job(spark_version="2.4.5", modules=["sys.datasource.hbase"]).warnings == ()


def test_a_job_may_be_changed_and_is_checked_again() -> None:
    asked = replace(job(), name="n", conf={"spark.airflow.dag_id": "d"})

    assert asked.as_wire()["conf"] == {"spark.airflow.dag_id": "d"}
    with pytest.raises(InputError):
        replace(asked, spark_version="3.3.1", file="main.py")
