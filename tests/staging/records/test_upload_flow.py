# SPDX-License-Identifier: Apache-2.0
"""What staging asks of the bucket and of DLI where an upload does not go as it should."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dli.api.obs.models import StoredObject
from airflow_provider_dli.api.packages.models import Package, PackageGroup
from airflow_provider_dli.api.protocol.errors import BadRequestError, DliError, ServiceError
from airflow_provider_dli.staging.records import upload_flow
from airflow_provider_dli.staging.records.comparison import SAME, GroupRecords
from airflow_provider_dli.staging.records.groups import (
    OPEN_FOR,
    Begun,
    Content,
    Fact,
    Held,
    RecordFolder,
    RecordListing,
)
from airflow_provider_dli.staging.records.steps import (
    DeleteObjects,
    FindGroup,
    ListObjects,
    ReadObject,
    UploadGroup,
    WriteObject,
)
from airflow_provider_dli.staging.records.upload_flow import GroupCheck, PackageOutcome, Upload

FOLDER = RecordFolder.of("spark", "p1", "tools")
WANTED = (Content("a.jar", "digest-1", "spark/a.jar"),)
BEGUN = FOLDER.begun_key("1")


class Services:
    """A bucket, and a DLI that holds one package or refuses an upload."""

    def __init__(self, refusal: DliError | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self.modified: dict[str, float] = {}
        self.refusal = refusal
        self.now = 1000.0

    def run(self, steps: Any) -> Any:
        try:
            step = next(steps)
            while True:
                try:
                    result = self.carry_out(step)
                except DliError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as ended:
            return ended.value

    def carry_out(self, step: Any) -> Any:
        match step:
            case ListObjects(prefix):
                return [
                    StoredObject(key, len(body), "e", self.modified[key])
                    for key, body in self.objects.items()
                    if key.startswith(prefix)
                ]
            case WriteObject(key, body):
                self.objects[key], self.modified[key] = body, self.now
            case DeleteObjects(keys):
                self.objects = {k: v for k, v in self.objects.items() if k not in keys}
            case ReadObject(key):
                return self.objects[key]
            case FindGroup() | UploadGroup():
                if self.refusal is not None:
                    raise self.refusal
                return group("uuid-1_a.jar")
        return None


def group(copy: str) -> PackageGroup:
    package = Package("a.jar", "tools", "jar", raw_state="READY", underlying_name=copy)
    return PackageGroup("tools", "READY", (package,))


def refused(kind: type[Any], status: int) -> DliError:
    error: DliError = kind("POST /resources was refused", status=status, caller="")
    return error


def begun(services: Services) -> Upload:
    """Announce an upload by a run that saw no group, and send it."""
    check = GroupCheck(None, SAME, RecordListing(FOLDER))
    upload: Upload = services.run(upload_flow.announce_and_upload(check, WANTED, "dag d", "1"))[0]
    return upload


def test_an_upload_that_is_refused_for_sure_is_announced_no_more() -> None:
    services = Services(refused(BadRequestError, 400))

    with pytest.raises(BadRequestError):
        begun(services)

    assert services.objects == {}


def test_an_upload_that_may_have_been_done_stays_announced() -> None:
    services = Services(refused(ServiceError, 503))
    assert services.refusal is not None
    assert services.refusal.may_be_done

    with pytest.raises(ServiceError):
        begun(services)

    assert list(services.objects) == [BEGUN]


def test_what_dli_shows_anew_is_held() -> None:
    services = Services()
    upload = begun(services)

    outcome = services.run(upload_flow.confirm_upload(FOLDER, upload))

    assert outcome.packages == {"a.jar": (PackageOutcome.HELD, None)}
    assert len(services.objects) == 2


def test_who_settles_after_others_have_forgotten_his_upload_claims_nothing() -> None:
    """What was announced counts for so long; anything may have been put there since."""
    services = Services()
    upload = begun(services)
    services.now += OPEN_FOR + 1
    other = Begun("2", "dag other", (Content("b.jar", "digest-2"),), {})
    services.carry_out(WriteObject(FOLDER.begun_key("2"), other.encoded()))

    outcome = services.run(upload_flow.confirm_upload(FOLDER, upload))

    assert outcome.packages == {"a.jar": (PackageOutcome.UNCLEAR, None)}
    assert sorted(services.objects) == [BEGUN, FOLDER.begun_key("2")]


def test_a_record_that_nobody_can_read_is_named_with_what_to_do() -> None:
    services = Services()
    upload = begun(services)
    services.carry_out(WriteObject(FOLDER.begun_key("2"), b"half of it"))

    with pytest.raises(DliError, match=r"begun-2\.json .*cannot be read .*Delete it"):
        services.run(upload_flow.confirm_upload(FOLDER, upload))


@pytest.mark.parametrize(("modified", "is_renewed"), [(999.0, True), (1000.0, False)])
def test_records_that_were_read_are_renewed_if_they_are_older_than_asked(
    modified: float, is_renewed: bool
) -> None:
    fact = Fact("a.jar", "digest-1", "spark/a.jar", "uuid-1_a.jar")
    held = Held("1", "dag d", (fact,), modified=modified)
    listed = RecordListing(FOLDER)
    check = GroupCheck(group("uuid-1_a.jar"), SAME, listed, GroupRecords(listed, (held,)))

    steps = list(upload_flow.renew_records(check, WANTED, "dag d", "2", 1000.0))

    expected = [WriteObject(FOLDER.held_key(held), held.encoded())]
    assert steps == (expected if is_renewed else [])
