# SPDX-License-Identifier: Apache-2.0
"""The metadata service of a virtual machine hands out the key of its agency."""

from __future__ import annotations

import pytest

TOKEN = "/meta-data/latest/api/token"
KEY = "/openstack/latest/securitykey"
TTL = "X-Metadata-Token-Ttl-Seconds"


def ask_token(api, seconds="21600"):
    headers = {} if seconds is None else {TTL: seconds}
    return api.session.put(api.emulator.url + TOKEN, headers=headers, timeout=60)


def ask_key(api, token=None):
    headers = {} if token is None else {"X-Metadata-Token": token}
    return api.session.get(api.emulator.url + KEY, headers=headers, timeout=60)


def key_of(api):
    answer = ask_key(api, ask_token(api).text)
    assert answer.status_code == 200
    return answer.json()["credential"]


def test_a_token_gives_a_key_of_one_hour_that_opens_dli(api, emulator, call_signed):
    given = key_of(api)

    answer = call_signed(
        emulator,
        access_key=given["access"],
        secret_key=given["secret"],
        headers={"X-Security-Token": given["securitytoken"]},
    )

    assert given["expires_at"] == "2023-11-14T23:13:20.000000Z"
    assert [key.source for key in emulator.issued_keys] == ["metadata"]
    assert answer.status_code == 200


def test_a_token_is_plain_text(api):
    answer = ask_token(api)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert answer.text.isascii()


@pytest.mark.parametrize("seconds", [None, "", "0", "-1", "21601", "long"])
def test_a_token_needs_a_life_of_at_most_six_hours(api, seconds):
    assert ask_token(api, seconds).status_code == 400


@pytest.mark.parametrize("token", [None, "other"])
def test_a_key_needs_a_known_token(api, token):
    answer = ask_key(api, token)

    assert answer.status_code == 401
    assert "configure" not in answer.text


def test_a_token_ends(api, clock):
    token = ask_token(api, "60").text
    clock.now += 60

    assert ask_key(api, token).status_code == 401


def test_the_key_stays_the_same_until_ten_minutes_before_its_end(api, clock):
    first = key_of(api)
    clock.now += 3600 - 601
    same = key_of(api)
    clock.now += 1
    other = key_of(api)

    assert same == first
    assert other["access"] != first["access"]
    assert other["expires_at"] > first["expires_at"]


def test_the_old_key_and_the_new_one_both_work_for_a_while(api, emulator, call_signed, clock):
    old = key_of(api)
    clock.now += 3001
    key_of(api)

    answer = call_signed(
        emulator,
        access_key=old["access"],
        secret_key=old["secret"],
        headers={"X-Security-Token": old["securitytoken"]},
    )

    assert answer.status_code == 200


def test_an_expired_key_is_followed_by_a_new_one(api, emulator):
    old = key_of(api)
    emulator.expire_credentials()

    assert key_of(api)["access"] != old["access"]


def test_the_life_of_a_key_can_be_shortened(start):
    api = start(key_seconds=60)

    assert key_of(api)["expires_at"] == "2023-11-14T22:14:20.000000Z"


def test_the_older_version_has_no_token_and_gives_the_key_without(start):
    api = start(metadata="v1")

    assert ask_token(api).status_code == 404
    assert ask_key(api).status_code == 200


def test_a_machine_without_an_agency_is_told_what_is_missing(start):
    api = start(metadata="no-agency")

    answer = ask_key(api, ask_token(api).text)

    assert answer.status_code == 401
    assert "Please configure Cloud Service Agency first" in answer.text


def test_a_reset_forgets_the_tokens(api, emulator):
    token = ask_token(api).text
    emulator.reset()

    assert ask_key(api, token).status_code == 401


@pytest.mark.parametrize(("method", "path"), [("GET", TOKEN), ("PUT", KEY), ("GET", "/openstack")])
def test_other_metadata_is_not_there(api, method, path):
    assert api.session.request(method, api.emulator.url + path, timeout=60).status_code == 404


def test_its_token_is_not_recorded(api, emulator):
    token = ask_token(api).text
    ask_key(api, token)

    assert emulator.requests[1].headers["x-metadata-token"] == "***"


def test_a_fault_of_its_path_strikes_it(api, emulator):
    api.control("POST", "/faults", {"action": "unavailable", "path": "/meta-data/*"})

    assert [ask_token(api).status_code, ask_token(api).status_code] == [503, 200]
