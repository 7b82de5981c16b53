# SPDX-License-Identifier: Apache-2.0
"""An emulator starts on one line, stops at once, and can be held from several threads."""

from __future__ import annotations

import gc
import socket
import threading
from urllib.parse import urlsplit

import pytest
import requests

import airflow_provider_dli.emulator as package
from airflow_provider_dli.emulator import Emulator, running
from airflow_provider_dli.emulator.settings import Options, Settings


def test_an_emulator_listens_on_loopback_until_its_block_ends():
    with running() as emulator:
        answered = requests.get(f"{emulator.url}/_emulator/state", timeout=60).status_code

    assert urlsplit(emulator.url).hostname == "127.0.0.1"
    assert answered == 200
    with pytest.raises(requests.ConnectionError):
        requests.get(emulator.url, timeout=60)


def test_an_emulator_can_listen_on_ipv6():
    with running(host="::1") as emulator:
        assert emulator.url.startswith("http://[::1]:")
        assert requests.get(f"{emulator.url}/_emulator/state", timeout=60).status_code == 200


def test_an_emulator_leaves_no_thread_behind():
    before = threading.active_count()

    with running():
        during = threading.active_count()

    assert (during, threading.active_count()) == (before + 1, before)


def test_a_client_that_keeps_its_connection_does_not_hold_up_the_end(api):
    with requests.Session() as session, running() as emulator:
        session.get(f"{emulator.url}/_emulator/state", timeout=60)


def test_an_answer_does_not_wait_for_the_client_to_confirm_its_headers(api, emulator):
    api("GET", "/resources")
    port = urlsplit(emulator.url).port

    served = [
        one
        for one in gc.get_objects()
        if type(one) is socket.socket
        and one.fileno() >= 0
        and one.getsockname()[1:2] == (port,)
        and not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    ]

    assert served
    assert all(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in served)


def test_a_client_that_leaves_in_the_middle_of_its_body_does_no_harm(api, emulator):
    address = urlsplit(emulator.url)
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(b"POST /v2.0/p/resources HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")

    assert api("GET", "/resources").status_code == 200
    assert [record.method for record in emulator.requests] == ["GET"]


def test_a_port_that_is_taken_is_an_error():
    with running() as emulator, pytest.raises(OSError, match="in use"):
        running(port=urlsplit(emulator.url).port).__enter__()


def test_two_emulators_share_nothing():
    with running() as one, running() as two:
        one.put_package("a.jar")

        assert two.packages() == {}


def test_the_keys_and_the_project_can_be_chosen(start):
    options = {
        "access_key": "AK",
        "secret_key": "SK",
        "security_token": "ST",
        "auth_token": "AT",
        "project_ids": ["p"],
        "users": ["owner-of-all"],
    }

    emulator = start(**options).emulator
    emulator.put_package("a.jar")

    assert (emulator.access_key, emulator.secret_key) == ("AK", "SK")
    assert (emulator.security_token, emulator.auth_token) == ("ST", "AT")
    assert emulator.project_id == "p"
    assert emulator.packages()["a.jar"]["owner"] == "owner-of-all"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"project_ids": []}, "project_ids must be a list"),
        ({"project_ids": "p"}, "project_ids must be a list"),
        ({"users": ()}, "users must be a list"),
        ({"latency": -1}, "latency must be a number"),
        ({"token_seconds": -1}, "token_seconds must be a number"),
        ({"key_seconds": "day"}, "key_seconds must be a number"),
        ({"clock_offset": float("nan")}, "clock_offset must be a number"),
        ({"metadata": "v3"}, "metadata must be v2, v1 or no-agency"),
        ({"project_names": {"p": "eu-de"}}, "project_names must name projects of project_ids"),
        ({"forbidden_projects": ["p"]}, "forbidden_projects must name projects of project_ids"),
        ({"upload_seconds": None}, "upload_seconds must be a number"),
        ({"obs_endpoint": "localhost:9000"}, "obs_endpoint must be an http"),
    ],
    ids=str,
)
def test_a_setting_that_makes_no_sense_is_refused_by_its_name(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        running(**options).__enter__()


def test_the_connection_for_airflow_holds_what_opens_the_emulator(emulator):
    assert emulator.airflow_connection == {
        "conn_type": "dli",
        "login": emulator.access_key,
        "password": emulator.secret_key,
        "extra": {
            "cloud": "huawei",
            "region": "eu-west-101",
            "project_id": emulator.project_id,
            "endpoint": emulator.url,
        },
    }


def test_the_connection_names_the_region_of_the_first_project_and_the_token(start):
    options = {"project_ids": ["p"], "project_names": {"p": "eu-de_team"}, "security_token": "ST"}

    extra = start(**options).emulator.airflow_connection["extra"]

    assert (extra["region"], extra["security_token"]) == ("eu-de", "ST")


@pytest.mark.parametrize("pair", [("", "sk"), ("ak", "")])
def test_keys_are_rotated_to_a_whole_pair_only(emulator, pair):
    with pytest.raises(ValueError, match="must not be empty"):
        emulator.rotate_keys(*pair)


def test_a_seeded_state_may_be_any_word_but_must_be_one(emulator):
    emulator.put_package("a.jar", "PAUSED")

    assert emulator.packages()["a.jar"]["status"] == "PAUSED"
    with pytest.raises(ValueError, match="timeline must name states"):
        emulator.put_package("b.jar", 7)


def test_uploads_from_several_threads_all_arrive(emulator):
    def upload(number: int) -> None:
        for member in range(50):
            emulator.put_group(f"g{number}", {f"{member}.jar": "READY"})
            emulator.groups()

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [len(group["resources"]) for group in emulator.groups().values()] == [50] * 4


def test_the_keywords_are_the_settings():
    assert set(Options.__annotations__) == set(Settings.__annotations__)


def test_the_exported_names_exist_and_no_others():
    assert {name: getattr(package, name) for name in package.__all__}["Emulator"] is Emulator
    with pytest.raises(AttributeError, match="no attribute 'Emulators'"):
        package.Emulators  # noqa: B018 - the access is the test
