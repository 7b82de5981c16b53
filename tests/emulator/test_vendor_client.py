# SPDX-License-Identifier: Apache-2.0
"""Huawei's own client drives the emulator: a witness that neither side of this package wrote."""

from __future__ import annotations

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkdli.v1 import (
    DeleteJobResourceRequest,
    DliClient,
    ListJobResourcesRequest,
    ShowJobResourceRequest,
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
