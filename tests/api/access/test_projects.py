# SPDX-License-Identifier: Apache-2.0
"""The project of a region is looked up once, and never guessed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_clock import FakeClock

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import AccessKey, Token
from airflow_provider_dli.api.access.identity import Identity, Source, identity_of
from airflow_provider_dli.api.access.projects import find_project
from airflow_provider_dli.api.access.sources import Password
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.errors import (
    AuthenticationError,
    InputError,
    NotSentError,
    PermissionDeniedError,
)
from airflow_provider_dli.emulator import Emulator, Fault, running
from airflow_provider_dli.transport.blocking import BlockingTransport

PROJECTS = "/v3/projects"


def account(emulator: Emulator, source: Source | None = None) -> Account:
    keys = AccessKey(emulator.access_key, emulator.secret_key)
    return Account(
        emulator.url,
        None,
        source or keys,
        region=emulator.settings.region,
        conn_id="c",
        iam_origin=emulator.url,
    )


def find(account: Account, clock: FakeClock, identity: Identity | None = None) -> str:
    flow = find_project(account, identity or identity_of(account.source), clock.now)
    return BlockingTransport(read_timeout=60, sleep=clock.sleep).run(flow)


def looked_up(emulator: Emulator) -> list[str]:
    return [record.path for record in emulator.requests if record.path == PROJECTS]


def test_the_project_that_has_the_name_of_the_region_is_found(
    emulator: Emulator, clock: FakeClock
) -> None:
    assert find(account(emulator), clock) == emulator.project_id
    assert [record.query for record in emulator.requests] == [{"name": "eu-west-101"}]


def test_it_is_found_with_a_token_as_well(emulator: Emulator, clock: FakeClock) -> None:
    assert find(account(emulator, Token(emulator.auth_token)), clock) == emulator.project_id


def test_a_project_is_looked_up_once_for_one_caller(emulator: Emulator, clock: FakeClock) -> None:
    identity = identity_of(account(emulator).source)

    found = {find(account(emulator), clock, identity) for _ in range(3)}

    assert found == {emulator.project_id}
    assert len(emulator.requests) == 1


def test_each_region_has_a_project_of_its_own(clock: FakeClock) -> None:
    names = {"p1": "eu-de", "p2": "eu-nl"}
    with running(clock=clock.now, project_ids=list(names), project_names=names) as emulator:
        identity = identity_of(account(emulator).source)
        regions = ["eu-de", "eu-nl", "eu-de"]

        found = [find(replace(account(emulator), region=r), clock, identity) for r in regions]

    assert found == ["p1", "p2", "p1"]


def test_other_keys_have_a_project_of_their_own(emulator: Emulator, clock: FakeClock) -> None:
    one, other = account(emulator), account(emulator, Token(emulator.auth_token))
    identities = [identity_of(one.source), identity_of(other.source)]

    find(one, clock, identities[0])
    find(other, clock, identities[1])

    assert len(looked_up(emulator)) == 2


def test_no_project_is_an_error_that_names_region_and_connection(
    emulator: Emulator, clock: FakeClock
) -> None:
    wrong = replace(account(emulator), region="eu-de")

    with pytest.raises(InputError) as caught:
        find(wrong, clock)

    assert str(caught.value) == (
        "connection 'c': project_id is missing: IAM has no project named eu-de for this "
        "credential; check the region, or set project_id to the one that the console shows under "
        "My Credentials"
    )


def test_of_several_projects_none_is_guessed_and_all_are_named(clock: FakeClock) -> None:
    names = {"p1": "eu-de", "p2": "eu-de"}
    with (
        running(clock=clock.now, project_ids=list(names), project_names=names) as emulator,
        pytest.raises(InputError, match="several projects named eu-de, set one of: p1, p2"),
    ):
        find(account(emulator), clock)


def test_what_was_not_found_is_looked_up_again(clock: FakeClock) -> None:
    empty = {"projects": []}
    with running(clock=clock.now) as emulator:
        identity = identity_of(account(emulator).source)
        emulator.add_fault(Fault(path=PROJECTS, body=empty))
        with pytest.raises(InputError):
            find(account(emulator), clock, identity)

        assert find(account(emulator), clock, identity) == emulator.project_id


@pytest.mark.parametrize("missing", ["region", "iam_origin"])
def test_without_region_or_iam_nothing_is_asked(
    emulator: Emulator, clock: FakeClock, missing: str
) -> None:
    lacking = replace(account(emulator), **{missing: None})

    with pytest.raises(
        InputError, match="connection 'c': project_id is missing: looking it up needs"
    ):
        find(lacking, clock)

    assert emulator.requests == []


@pytest.mark.parametrize("trouble", ["unavailable", "throttled", "html", "reset", "empty-body"])
def test_trouble_of_iam_that_may_pass_means_that_nothing_was_sent(
    emulator: Emulator, clock: FakeClock, trouble: str
) -> None:
    emulator.add_fault(Fault(trouble, path=PROJECTS))

    with pytest.raises(NotSentError, match="Could not look up the project of eu-west-101: "):
        find(account(emulator), clock)

    assert find(account(emulator), clock) == emulator.project_id


def test_nobody_who_answers_means_that_nothing_was_sent(
    emulator: Emulator, clock: FakeClock
) -> None:
    nowhere = replace(account(emulator), iam_origin="http://127.0.0.1:9")

    with pytest.raises(NotSentError, match=r"of eu-west-101: GET /v3/projects was not sent"):
        find(nowhere, clock)


def test_a_refusal_of_iam_is_raised_as_it_is(emulator: Emulator, clock: FakeClock) -> None:
    emulator.add_fault(Fault("forbidden", path=PROJECTS))

    with pytest.raises(PermissionDeniedError) as caught:
        find(account(emulator), clock)

    assert "Used: connection c, region eu-west-101, the region's project." in str(caught.value)


def test_a_wrong_key_is_refused_by_iam(emulator: Emulator, clock: FakeClock) -> None:
    with pytest.raises(AuthenticationError) as caught:
        find(account(emulator, AccessKey("canary", "secret")), clock)

    assert "ak *** not exist" in str(caught.value)
    assert "canary" not in repr(caught.value.as_dict())


@pytest.mark.parametrize("named", ["connection", "token"])
def test_a_project_that_is_known_is_not_looked_up(
    emulator: Emulator, clock: FakeClock, named: str
) -> None:
    settings = emulator.settings
    password = Password(
        emulator.url,
        settings.users[0],
        settings.password,
        settings.account,
        project_name="eu-west-101",
    )
    known = (
        replace(account(emulator), project_id="of-the-connection")
        if named == "connection"
        else account(emulator, password)
    )

    project = BlockingTransport(read_timeout=60).run(Client(known, now=clock.now).project())

    assert project == ("of-the-connection" if named == "connection" else emulator.project_id)
    assert looked_up(emulator) == []
