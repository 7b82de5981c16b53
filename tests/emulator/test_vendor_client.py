# SPDX-License-Identifier: Apache-2.0
"""Huawei's own client drives the emulator: a witness that neither side of this package wrote."""

from __future__ import annotations

import json

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.auth.internal import IamHelper, MetadataAccessor
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, SdkException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkdli.v1 import (
    CancelSparkJobRequest,
    CreateSparkJobRequest,
    CreateSparkJobRequestBody,
    DeleteJobResourceRequest,
    DliClient,
    JobResource,
    JobResourcesGroup,
    ListJobResourcesRequest,
    ListSparkJobsRequest,
    ShowJobResourceRequest,
    ShowSparkJobLogRequest,
    ShowSparkJobRequest,
    ShowSparkJobStatusRequest,
    UpdateJobResourceOwnerRequest,
    UpdateJobResourceOwnerRequestBody,
    UploadFileJobResourcesRequest,
    UploadJarJobResourcesRequest,
    UploadJobResourcesRequest,
    UploadJobResourcesRequestBody,
    UploadPythonFileJobResourcesRequest,
    UploadResourcesRequestBody,
)

from airflow_provider_dli.emulator import running

# The vendor's client warns about every call on packages.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:huaweicloudsdk.*")

PATHS = ["https://bucket.obs.region.example.com/lib/a.jar"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    # The vendor's client writes an id of its own into the home directory.
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def emulator():
    with running() as emulator:  # the vendor's client signs with the real time
        yield emulator


def client_of(emulator, **keys):
    pair = {"ak": emulator.access_key, "sk": emulator.secret_key, **keys}
    credentials = BasicCredentials(pair["ak"], pair["sk"], emulator.project_id)
    if "token" in pair:
        credentials.with_security_token(pair["token"])
    config = HttpConfig.get_default_config()
    builder = DliClient.new_builder().with_http_config(config).with_credentials(credentials)
    return builder.with_endpoint(emulator.url).build()


def test_upload_to_a_group(emulator):
    body = UploadJobResourcesRequestBody(paths=PATHS, kind="jar", group="tools", is_async=True)

    answer = client_of(emulator).upload_job_resources(UploadJobResourcesRequest(body=body))

    assert answer.status_code == 201
    assert (answer.group_name, answer.status, answer.resources) == ("tools", "UPLOADING", ["a.jar"])
    assert answer.details[0].resource_name == "a.jar"


def test_upload_with_tags_and_without_group(emulator):
    tags = [{"key": "team", "value": "red"}]
    body = UploadJobResourcesRequestBody(paths=PATHS, kind="jar", tags=tags)

    client_of(emulator).upload_job_resources(UploadJobResourcesRequest(body=body))

    assert list(emulator.packages()) == ["a.jar"]


@pytest.mark.parametrize(
    ("method", "request_type", "kind"),
    [
        ("upload_jar_job_resources", UploadJarJobResourcesRequest, "jar"),
        ("upload_python_file_job_resources", UploadPythonFileJobResourcesRequest, "pyFile"),
        ("upload_file_job_resources", UploadFileJobResourcesRequest, "file"),
    ],
)
def test_typed_uploads(emulator, method, request_type, kind):
    body = UploadResourcesRequestBody(paths=PATHS, group="tools")

    answer = getattr(client_of(emulator), method)(request_type(body=body))

    assert (answer.status_code, answer.status, answer.is_async) == (201, "READY", False)
    assert answer.details[0].resource_type == kind


def test_list(emulator):
    emulator.put_package("lone.jar", kind="jar")
    emulator.put_group("tools", {"a.jar": "READY"}, kind="jar")

    answer = client_of(emulator).list_job_resources(ListJobResourcesRequest(kind="jar"))

    assert answer.resources[0].resource_name == "lone.jar"
    assert answer.groups[0].group_name == "tools"
    assert answer.groups[0].details[0].status == "READY"
    assert answer.modules[0].module_name == "gatk"


def test_show(emulator):
    emulator.put_group("tools", {"a.jar": "READY"})
    request = ShowJobResourceRequest(resource_name="a.jar", group="tools")

    answer = client_of(emulator).show_job_resource(request)

    assert (answer.resource_name, answer.status) == ("a.jar", "READY")
    assert answer.owner == "emulator-user"


def test_delete(emulator):
    emulator.put_group("tools", {"a!b.jar": "READY"})
    request = DeleteJobResourceRequest(resource_name="a!b.jar", group="tools")

    answer = client_of(emulator).delete_job_resource(request)

    assert answer.status_code == 200
    assert emulator.groups() == {}


def test_change_the_owner(emulator):
    emulator.put_group("tools", {"a.jar": "READY"})
    body = UpdateJobResourceOwnerRequestBody(new_owner="emulator-user-2", group_name="tools")

    answer = client_of(emulator).update_job_resource_owner(UpdateJobResourceOwnerRequest(body=body))

    assert answer.is_success is True
    assert emulator.groups()["tools"]["owner"] == "emulator-user-2"


def test_submit_a_batch_job(emulator):
    emulator.put_group("tools", {"a.jar": "READY", "b.jar": "READY"})
    resources = [JobResource(name="b.jar", type="jar")]
    body = CreateSparkJobRequestBody(
        file="tools/a.jar",
        class_name="com.example.Job",
        queue="q",
        name="words",
        args=["-n", "1"],
        groups=[JobResourcesGroup(name="tools", resources=resources)],
        conf={"spark.x": "1"},
        driver_memory="2G",
        driver_cores=1,
        auto_recovery=True,
        max_retry_times=3,
        spark_version="3.1.1",
    )

    answer = client_of(emulator).create_spark_job(CreateSparkJobRequest(body=body, user_id="u"))

    request = json.loads(emulator.batches()[answer.id]["req_body"])
    assert (answer.status_code, answer.state, answer.name) == (200, "starting", "words")
    assert (answer.queue, answer.sc_type, answer.log) == ("q", "CUSTOMIZED", [])
    assert (request["className"], request["auto_recovery"]) == ("com.example.Job", True)
    assert request["groups"] == [{"name": "tools", "resources": [{"name": "b.jar", "type": "jar"}]}]


def test_a_batch_job_without_its_class(emulator):
    body = CreateSparkJobRequestBody(file="obs://bucket/job.py")

    answer = client_of(emulator).create_spark_job(CreateSparkJobRequest(body=body))

    assert answer.status_code == 200


def test_a_batch_job_that_is_refused(emulator):
    body = CreateSparkJobRequestBody(file="tools/a.jar", class_name="Job", spark_version="3.3.1")

    with pytest.raises(ClientRequestException) as refused:
        client_of(emulator).create_spark_job(CreateSparkJobRequest(body=body))

    assert (refused.value.status_code, refused.value.error_code) == (400, "DLI.0007")


def test_state_of_a_batch_job(emulator):
    batch_id = emulator.add_batch({}, "recovering")

    answer = client_of(emulator).show_spark_job_status(ShowSparkJobStatusRequest(batch_id=batch_id))

    assert (answer.id, answer.state) == (batch_id, "recovering")


def test_log_of_a_batch_job(emulator):
    batch_id = emulator.add_batch({})
    emulator.write_batch_log(batch_id, ["zero", "one", "two"])
    request = ShowSparkJobLogRequest(batch_id=batch_id, _from=1, size=1, type="driver", index=0)

    answer = client_of(emulator).show_spark_job_log(request)

    assert (answer.id, answer._from, answer.total, answer.log) == (batch_id, 1, 3, ["one"])


def test_cancel_a_batch_job(emulator):
    batch_id = emulator.add_batch({})

    answer = client_of(emulator).cancel_spark_job(CancelSparkJobRequest(batch_id=batch_id))

    assert answer.msg == "deleted"
    assert emulator.batches()[batch_id]["state"] == "dead"


def test_list_batch_jobs(emulator):
    request = {"file": "tools/a.jar", "name": "words", "queue": "q", "sc_type": "B"}
    batch_id = emulator.add_batch(request)
    emulator.add_batch({"file": "tools/b.jar", "name": "other"})

    answer = client_of(emulator).list_spark_jobs(ListSparkJobsRequest(job_name="words", size=10))

    job = answer.sessions[0]
    assert (answer._from, answer.total, len(answer.sessions)) == (0, 1, 1)
    assert (job.id, job.state, job.name, job.queue) == (batch_id, "running", "words", "q")
    assert (job.sc_type, job.owner) == ("B", "emulator-user")
    assert json.loads(job.req_body).items() >= request.items()


@pytest.mark.parametrize(
    "filters",
    [
        {"job_id": "wanted"},
        {"queue_name": "q"},
        {"cluster_name": "q"},
        {"state": "starting"},
        {"order": "CREATE_TIME_ASC", "_from": 0, "size": 1},
        {"order": "DURATION_DESC", "size": 1},
        {"start": 0, "end": 4102444800000, "_from": 1},
    ],
    ids=str,
)
def test_filters_and_pages_of_batch_jobs(emulator, filters):
    wanted = emulator.add_batch({"queue": "q"}, "starting")
    emulator.add_batch({"queue": "other"}, "dead")
    if "job_id" in filters:
        filters = {"job_id": wanted}

    answer = client_of(emulator).list_spark_jobs(ListSparkJobsRequest(**filters))

    assert [job.id for job in answer.sessions] == [wanted]


def test_show_a_batch_job(emulator):
    batch_id = emulator.add_batch({"file": "obs://bucket/a.py"}, "starting")
    emulator.set_batch_state(batch_id, "running")

    answer = client_of(emulator).show_spark_job(ShowSparkJobRequest(batch_id=batch_id))

    assert (answer.id, answer.state, answer.status_code) == (batch_id, "running", 200)
    assert json.loads(answer.req_body)["file"] == "obs://bucket/a.py"


@pytest.mark.parametrize("name", ["a b.jar", "a%b", "a+b", "包.jar", "a/b.jar", "~a", "a&b=c"])
def test_the_signature_fits_for_every_name(emulator, name):
    request = ShowJobResourceRequest(resource_name=name, group=name)

    with pytest.raises(ClientRequestException) as refused:
        client_of(emulator).show_job_resource(request)

    assert (refused.value.status_code, refused.value.error_code) == (400, "DLI.0002")
    assert refused.value.request_id == emulator.requests[0].request_id


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"sk": "wrong"}, "verify aksk signature fail"),
        ({"ak": "NOBODY"}, "ak NOBODY not exist"),
    ],
    ids=["secret key", "access key"],
)
def test_wrong_keys_are_refused(emulator, keys, reason):
    with pytest.raises(ClientRequestException) as refused:
        client_of(emulator, **keys).list_job_resources(ListJobResourcesRequest())

    assert (refused.value.status_code, refused.value.error_code) == (401, "APIGW.0301")
    assert reason in refused.value.error_msg


def test_a_temporary_key_works_with_its_security_token():
    with running(security_token="sts") as emulator:
        client = client_of(emulator, token="sts")

        answer = client.list_job_resources(ListJobResourcesRequest())

    assert answer.status_code == 200


def test_a_temporary_key_needs_the_right_security_token():
    with running(security_token="sts") as emulator:
        client = client_of(emulator, token="wrong")

        with pytest.raises(ClientRequestException) as refused:
            client.list_job_resources(ListJobResourcesRequest())

    assert (refused.value.status_code, refused.value.error_code) == (401, "APIGW.0301")


def client_of_region(emulator, monkeypatch):
    """Returns a client that has a region and no project id, so that it asks IAM for the id."""
    monkeypatch.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", emulator.url)
    # The package keeps the ids that it found, by key and region, for the life of the process.
    BasicCredentials._CACHE.clear()
    credentials = BasicCredentials(emulator.access_key, emulator.secret_key)
    region = Region("eu-west-101", emulator.url)
    return DliClient.new_builder().with_credentials(credentials).with_region(region).build()


def test_it_gets_the_id_of_its_project_from_iam(emulator, monkeypatch):
    client = client_of_region(emulator, monkeypatch)

    client.list_job_resources(ListJobResourcesRequest())

    paths = [record.path for record in emulator.requests]
    assert paths == ["/v3/projects", f"/v2.0/{emulator.project_id}/resources"]


def test_it_finds_no_project_of_another_name(monkeypatch):
    options = {"project_ids": ["p"], "project_names": {"p": "eu-de"}}
    with running(**options) as emulator, pytest.raises(SdkException) as refused:
        client_of_region(emulator, monkeypatch)

    assert "Failed to get project id of region 'eu-west-101'" in refused.value.error_msg


def test_it_does_not_choose_among_several_projects_of_one_name(monkeypatch):
    names = {"p": "eu-west-101", "q": "eu-west-101"}
    with (
        running(project_ids=["p", "q"], project_names=names) as emulator,
        pytest.raises(SdkException) as refused,
    ):
        client_of_region(emulator, monkeypatch)

    assert "Multiple project ids found: [p,q]" in refused.value.error_msg


def machine_of(emulator):
    class Machine(MetadataAccessor):
        _METADATA_ENDPOINT = emulator.url

    return Machine()


def lists_with(emulator, given):
    keys = {"ak": given.access, "sk": given.secret, "token": given.security_token}
    return client_of(emulator, **keys).list_job_resources(ListJobResourcesRequest()).status_code


@pytest.mark.parametrize("version", ["v2", "v1"])
def test_it_works_with_the_key_of_a_machine(version):
    with running(metadata=version) as emulator:
        accessor = machine_of(emulator)

        given = accessor.get_credential()

        assert lists_with(emulator, given) == 200
        assert given.expire_at == pytest.approx(emulator.issued_keys[0].expires_at, abs=1)


def test_it_is_told_that_a_machine_has_no_agency():
    with running(metadata="no-agency") as emulator:
        accessor = machine_of(emulator)

        with pytest.raises(ClientRequestException) as refused:
            accessor.get_credential()

    assert (refused.value.status_code, len(emulator.requests)) == (401, 2)


def test_it_asks_for_another_token_when_the_one_of_the_machine_has_ended(emulator):
    accessor = machine_of(emulator)
    accessor.get_credential()
    emulator.reset()

    given = accessor.get_credential()

    assert lists_with(emulator, given) == 200


def test_it_works_with_the_key_for_a_token(emulator):
    http = client_of(emulator).get_http_client()
    token = emulator.credentials.issue_token("emulator-user", emulator.project_id).value
    request = IamHelper.get_create_temporary_access_key_by_token_request(
        http.config, emulator.url, token, 900
    )

    given = IamHelper.create_temporary_access_key_by_token(http, request)

    keys = {"ak": given["access"], "sk": given["secret"], "token": given["securitytoken"]}
    answer = client_of(emulator, **keys).list_job_resources(ListJobResourcesRequest())
    assert answer.status_code == 200


def test_an_expired_key_is_refused(emulator):
    given = emulator.credentials.issue_key("agency", 900)
    keys = {"ak": given.access_key, "sk": given.secret_key, "token": given.security_token}
    client = client_of(emulator, **keys)
    emulator.expire_credentials()

    with pytest.raises(ClientRequestException) as refused:
        client.list_job_resources(ListJobResourcesRequest())

    assert (refused.value.status_code, refused.value.error_code) == (401, "APIGW.0301")
