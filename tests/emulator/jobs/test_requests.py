# SPDX-License-Identifier: Apache-2.0
"""A batch job is submitted as the documentation says, or refused and nothing is left of it."""

from __future__ import annotations

import json

import pytest

MANY = "x" * 129


def refused(answer, code="DLI.0001"):
    assert (answer.status_code, answer.json()["error_code"]) == (400, code)
    return answer.json()["error_msg"]


def only_job(emulator):
    (job,) = emulator.batches().values()
    return job


def test_a_submission_is_answered_with_the_documented_fields(api, golden):
    answer = api.submit(queue="aaa", driverMemory="1G")

    documented = golden("doc_batch_create.response")
    known = {"id", "owner", "create_time", "update_time"}
    assert answer.status_code == 200
    assert answer.json().keys() == documented.keys()
    assert {name: value for name, value in answer.json().items() if name not in known} == {
        name: value for name, value in documented.items() if name not in known
    }


@pytest.mark.parametrize(
    "name", ["doc_batch_create_groups.request", "doc_batch_create_camel.request"]
)
def test_the_documented_examples_are_accepted(api, emulator, golden, name):
    emulator.put_group("batchTest", {"spark-examples_2.11-2.1.0.luxor.jar": "READY"})
    emulator.put_group("batchTest", {"luxor.jar": "READY"})
    emulator.put_group("groupTest", {"testJar.jar": "READY"})
    emulator.put_group("groupTestJar", {"testJar.jar": "READY", "testJar1.jar": "READY"})
    for lone in ("demo-1.0.0.jar", "count.txt", "kafka-clients-0.10.0.0.jar"):
        emulator.put_package(lone)
    emulator.put_package("spark-examples_2.11-2.1.0.luxor.jar")

    answer = api("POST", "/batches", golden(name))

    assert answer.status_code == 200


def test_every_documented_field_is_accepted_and_told_again(api, emulator):
    body = {
        "file": "obs://bucket/job.jar",
        "className": "com.example.Job",
        "queue": "q",
        "name": "x" * 128,
        "args": ["a"],
        "sc_type": "C",
        "jars": ["obs://bucket/a.jar"],
        "pyFiles": ["obs://bucket/a.zip"],
        "files": ["obs://bucket/a.txt"],
        "modules": ["sys.datasource.hbase"],
        "conf": {"spark.x": "1"},
        "driverMemory": "2G",
        "driverCores": 1,
        "executorMemory": "2048M",
        "executorCores": 1,
        "numExecutors": 0,
        "obs_bucket": "bucket",
        "auto_recovery": True,
        "max_retry_times": 100,
        "feature": "custom",
        "spark_version": "3.3.1",
        "image": "org/name:tag",
        "catalog_name": "dli",
        "execution_agency_urn": "agency",
    }

    api("POST", "/batches", body)

    assert json.loads(only_job(emulator)["req_body"]).items() >= body.items()


def test_the_spelling_of_2021_is_understood(api, emulator):
    body = {"class_name": "Job", "driver_memory": "1G", "python_files": ["obs://b/a.zip"]}

    answer = api.submit(**body)

    assert answer.json()["sc_type"] == "CUSTOMIZED"
    assert json.loads(only_job(emulator)["req_body"]).items() >= body.items()


@pytest.mark.parametrize(
    ("older", "today", "value"),
    [("class_name", "className", "Job"), ("executor_cores", "executorCores", 1)],
)
def test_a_field_in_both_spellings_is_refused(api, emulator, older, today, value):
    answer = api.submit(**{older: value, today: value})

    assert f"{older} and {today} are the same field" in refused(answer)
    assert emulator.batches() == {}


def test_an_empty_field_counts_as_left_out(api):
    answer = api.submit(className=None, class_name="Job", groups=None, max_retry_times=None)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("file", None),
        ("file", ""),
        ("file", 7),
        ("file", "obs://bucket"),
        ("file", "obs:///key"),
        ("className", 7),
        ("name", MANY),
        ("name", 7),
        ("args", "a"),
        ("args", [1]),
        ("jars", [None]),
        ("python_files", "a.zip"),
        ("sc_type", "D"),
        ("sc_type", ["A"]),
        ("driverCores", "1"),
        ("executorCores", -1),
        ("numExecutors", True),
        ("driverMemory", 2),
        ("conf", [{"spark.x": "1"}]),
        ("auto_recovery", "true"),
        ("max_retry_times", 101),
        ("maxRetryTimes", -1),
        ("feature", "vm"),
        ("feature", "custom"),
        ("spark_version", "three"),
        ("spark_version", 3.3),
        ("resources", ["a.jar"]),
        ("resources", [{"type": "jar"}]),
        ("resources", [{"name": "a.jar", "type": "zip"}]),
        ("groups", {"name": "tools"}),
        ("groups", [{"resources": []}]),
        ("groups", [{"name": "tools", "resources": ["a.jar"]}]),
    ],
    ids=str,
)
def test_a_wrong_field_is_refused_and_named(api, emulator, field, value):
    message = refused(api.submit(**{field: value}))

    named = {"python_files": "pyFiles", "maxRetryTimes": "max_retry_times"}.get(field, field)
    assert named in message or str(value) in message
    assert emulator.batches() == {}


def test_a_field_that_nobody_documents_is_not_looked_at(api):
    assert api.submit(minRecoveryDelayTime=10000, tags=7).status_code == 200


@pytest.mark.parametrize("body", [b"{", b"[]"])
def test_a_submission_that_is_no_object_is_refused(api, body):
    refused(api("POST", "/batches", body))


def test_a_jar_needs_its_class(api):
    assert "className" in refused(api.submit(file="obs://bucket/job.jar", className=""))


@pytest.mark.parametrize("field", ["driverMemory", "executor_memory"])
@pytest.mark.parametrize("memory", ["2", "2.5G", "G", "2 G", "0G"])
def test_memory_without_a_unit_is_accepted_and_the_job_does_not_start(
    api, emulator, clock, field, memory
):
    answer = api.submit(**{field: memory})
    clock.advance(1)

    batch_id = answer.json()["id"]
    log = api("GET", f"/batches/{batch_id}/log?type=driver").json()["log"]
    assert (answer.status_code, answer.json()["state"]) == (200, "starting")
    assert emulator.batches()[batch_id]["state"] == "dead"
    assert "must have a unit" in log[0]


@pytest.mark.parametrize("memory", ["2G", "2048M", "1g", "512mb"])
def test_memory_with_a_unit_starts(api, emulator, clock, memory):
    api.submit(driverMemory=memory)
    clock.advance(1)

    assert only_job(emulator)["state"] == "running"


@pytest.mark.parametrize(
    "fields",
    [
        {"file": "tools/a.py"},
        {"file": "lone.py"},
        {"jars": ["tools/b.jar"]},
        {"pyFiles": ["lone.py"]},
        {"files": ["tools/a.py"]},
        {"resources": [{"name": "tools/b.jar", "type": "jar"}, {"name": "lone.py"}]},
        {"resources": [{"name": "obs://bucket/c.jar", "type": "jar"}]},
        {"groups": [{"name": "tools", "resources": [{"name": "b.jar", "type": "pyFile"}]}]},
        {"groups": [{"name": "tools", "resources": []}, {"name": "tools"}]},
    ],
    ids=str,
)
@pytest.mark.parametrize("version", [None, "2.3.2", "3.1.1"])
def test_packages_that_exist_are_found(api, emulator, fields, version):
    emulator.put_group("tools", {"a.py": "READY", "b.jar": "UPLOADING"})
    emulator.put_package("lone.py")

    assert api.submit(spark_version=version, **fields).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"file": "tools/c.py"},
        {"file": "a.py"},
        {"file": "nothing/a.py"},
        {"jars": ["tools/b.jar", "b.jar"]},
        {"resources": [{"name": "tools/c.jar"}]},
        {"groups": [{"name": "nothing"}]},
        {"groups": [{"name": "tools", "resources": [{"name": "c.jar"}]}]},
        {"groups": [{"name": "tools", "resources": [{"name": "tools/b.jar"}]}]},
    ],
    ids=str,
)
def test_a_package_that_does_not_exist_is_refused(api, emulator, fields):
    emulator.put_group("tools", {"a.py": "READY", "b.jar": "READY"})

    assert "does not exist" in refused(api.submit(**fields), "DLI.0002")
    assert emulator.batches() == {}


def test_packages_of_another_project_do_not_exist(start):
    api = start(project_ids=["p1", "p2"])
    api.emulator.put_package("job.py", project_id="p2")

    refused(api.submit(file="job.py"), "DLI.0002")


@pytest.mark.parametrize(
    "fields",
    [
        {"file": "tools/a.py"},
        {"jars": ["lone.jar"]},
        {"resources": [{"name": "obs://bucket/a.jar"}]},
        {"groups": [{"name": "tools"}]},
    ],
    ids=str,
)
@pytest.mark.parametrize("version", ["3.3.1", "3.3", "3.10.0", "4.0.0"])
def test_spark_from_3_3_on_takes_only_files_in_obs(api, emulator, fields, version):
    emulator.put_group("tools", {"a.py": "READY"})
    emulator.put_package("lone.jar")

    message = refused(api.submit(spark_version=version, **fields), "DLI.0007")

    assert f"Spark {version}" in message
    assert emulator.batches() == {}


def test_spark_from_3_3_on_takes_empty_groups(api):
    answer = api.submit(spark_version="3.3.1", groups=[], resources=[], jars=[])

    assert answer.status_code == 200


def test_submissions_are_counted_by_name(api, emulator):
    emulator.batch_seconds = 0
    emulator.batch_retention = 0
    for name in ("a", "b", "a"):
        api.submit(name=name)
    api.submit(name="c", file="")
    emulator.add_batch({"name": "b"})

    assert emulator.submissions == {"a": 2, "b": 1}
    assert len(emulator.batches()) == 1
