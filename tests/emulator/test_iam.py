# SPDX-License-Identifier: Apache-2.0
"""IAM beside DLI: tokens for passwords, temporary keys, and the ids of projects."""

from __future__ import annotations

import json

import pytest

TOKENS = "/v3/auth/tokens"
PROJECTS = "/v3/projects"
KEYS = "/v3.0/OS-CREDENTIAL/securitytokens"
WRONG = "The username or password is wrong."
INVALID = "The request body is invalid"


def identity(settings, **changes):
    who = {"name": settings.users[0], "password": settings.password, "account": settings.account}
    who |= changes
    user = {
        "name": who["name"],
        "password": who["password"],
        "domain": {"name": who["account"]},
    }
    return {"methods": ["password"], "password": {"user": user}}


def sign_in(api, scope=None, query="", **changes):
    auth = {"identity": identity(api.emulator.settings, **changes)}
    if scope is not None:
        auth["scope"] = scope
    return ask(api, "POST", TOKENS + query, {"auth": auth})


def ask(api, method, path, body=None, headers=None):
    return api.session.request(
        method, api.emulator.url + path, json=body, headers=headers, timeout=60
    )


def refused(answer, status, message):
    body = answer.json()
    title = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden"}[status]
    assert answer.status_code == status
    assert body == {"error": {"code": status, "message": message, "title": title}}


def token_of(api, project_id=None):
    scope = {"project": {"id": project_id or api.emulator.project_id}}
    return sign_in(api, scope).headers["X-Subject-Token"]


@pytest.mark.parametrize("scope", [{"name": "eu-west-101"}, {"id": "0123456789abcdef" * 2}])
def test_a_password_gives_a_token_for_a_project(api, emulator, scope):
    answer = sign_in(api, {"project": scope}, "?nocatalog=true")

    domain = {"id": emulator.settings.account_id, "name": "emulator-account"}
    token = answer.json()["token"]
    user_id = token["user"].pop("id")
    assert answer.status_code == 201
    assert answer.headers["X-IAM-Trace-Id"]
    assert len(user_id) == 32
    assert token == {
        "expires_at": "2023-11-15T22:13:20.000000Z",
        "issued_at": "2023-11-14T22:13:20.000000Z",
        "methods": ["password"],
        "catalog": [],
        "roles": [{"id": "0", "name": "te_admin"}],
        "project": {"domain": domain, "id": emulator.project_id, "name": "eu-west-101"},
        "user": {"domain": domain, "name": "emulator-user", "password_expires_at": ""},
    }


def test_a_token_comes_with_a_catalog_unless_it_is_not_wanted(api, emulator):
    catalog = sign_in(api).json()["token"]["catalog"]

    assert catalog[0]["endpoints"][0]["url"] == f"{emulator.url}/v3.0"


@pytest.mark.parametrize("scope", [None, {}, {"domain": {"name": "emulator-account"}}])
def test_without_a_project_a_token_is_for_the_account(api, scope):
    token = sign_in(api, scope).json()["token"]

    assert "project" not in token
    assert token["domain"]["name"] == "emulator-account"


def test_every_user_may_sign_in(api):
    assert sign_in(api, name="emulator-user-2").json()["token"]["user"]["name"] == "emulator-user-2"


@pytest.mark.parametrize("field", ["name", "password", "account"])
def test_a_wrong_user_password_or_account_is_refused_alike(api, field):
    refused(sign_in(api, **{field: "other"}), 401, WRONG)


@pytest.mark.parametrize("scope", [{"name": "nowhere-1"}, {"id": "nowhere-1"}])
def test_an_unknown_project_is_refused_by_name(api, scope):
    refused(sign_in(api, {"project": scope}), 401, "Could not find project, nowhere-1.")


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"auth": {}},
        {"auth": {"identity": {"methods": ["totp"]}}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": 1}}}}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "u"}}}}},
    ],
    ids=str,
)
def test_a_body_that_is_no_sign_in_is_invalid(api, body):
    refused(ask(api, "POST", TOKENS, body), 400, INVALID)


@pytest.mark.parametrize("scope", [[], {"project": "p"}, {"project": {"id": None}}], ids=str)
def test_a_scope_that_is_none_is_invalid(api, scope):
    refused(sign_in(api, scope), 400, INVALID)


def test_a_token_opens_dli_until_it_expires(api, clock):
    headers = {"X-Auth-Token": token_of(api)}

    clock.now += 24 * 60 * 60 - 1
    in_time = api("GET", "/resources", headers=headers)
    clock.now += 1
    late = api("GET", "/resources", headers=headers)

    assert in_time.status_code == 200
    assert (late.status_code, late.json()["error_code"]) == (401, "APIGW.0301")
    assert late.json()["error_msg"] == (
        "Incorrect IAM authentication information: "
        "token expires, expires_at: 2023-11-15T22:13:20.000000Z"
    )


def test_the_life_of_a_token_can_be_set(start):
    api = start(token_seconds=60)

    assert sign_in(api).json()["token"]["expires_at"] == "2023-11-14T22:14:20.000000Z"


def test_a_new_token_leaves_the_old_one_valid(api):
    old, new = token_of(api), token_of(api)

    assert old != new
    assert api("GET", "/resources", headers={"X-Auth-Token": old}).status_code == 200


def test_issued_tokens_can_be_expired_and_the_ready_made_one_stays(api, emulator):
    token = token_of(api)

    emulator.expire_credentials()

    assert api("GET", "/resources", headers={"X-Auth-Token": token}).status_code == 401
    assert api("GET", "/resources").status_code == 200


def test_a_token_opens_its_own_project_only(start):
    api = start(project_ids=["p", "q"])
    headers = {"X-Auth-Token": token_of(api, "p")}

    answer = api("GET", "/resources", project_id="q", headers=headers)

    assert (answer.status_code, answer.json()["error_code"]) == (403, "APIGW.0302")
    assert api("GET", "/resources", project_id="p", headers=headers).status_code == 200


def test_a_token_for_the_account_opens_no_project(api):
    headers = {"X-Auth-Token": sign_in(api).headers["X-Subject-Token"]}

    answer = api("GET", "/resources", headers=headers)

    assert (answer.status_code, answer.json()["error_code"]) == (403, "APIGW.0302")


def test_a_token_of_another_region_must_be_updated(start):
    api = start(project_ids=["p", "q"], project_names={"q": "eu-de"})

    answer = api("GET", "/resources", headers={"X-Auth-Token": token_of(api, "q")})

    assert answer.status_code == 401
    assert answer.json()["error_code"] == "APIGW.0307"
    assert answer.json()["error_msg"] == "The token must be updated."


def test_projects_are_listed_with_a_signature(emulator, call_signed):
    answer = call_signed(emulator, whole_path=PROJECTS, query=[("name", "eu-west-101")])

    links = {"next": None, "previous": None}
    own = f"{emulator.url}/v3/projects/{emulator.project_id}"
    assert answer.json() == {
        "projects": [
            {
                "domain_id": emulator.settings.account_id,
                "is_domain": False,
                "parent_id": emulator.settings.account_id,
                "name": "eu-west-101",
                "description": "",
                "links": {**links, "self": own},
                "id": emulator.project_id,
                "enabled": True,
            }
        ],
        "links": {**links, "self": f"{emulator.url}/v3/projects?name=eu-west-101"},
    }


def names(answer):
    return [(project["id"], project["name"]) for project in answer.json()["projects"]]


def test_projects_are_listed_with_a_token(start):
    api = start(project_ids=["p", "q"])
    headers = {"X-Auth-Token": token_of(api)}

    all_of_them, none = (
        ask(api, "GET", path, headers=headers) for path in (PROJECTS, f"{PROJECTS}?name=nowhere-1")
    )

    assert names(all_of_them) == [("p", "eu-west-101"), ("q", "eu-west-101_2")]
    assert all_of_them.json()["links"]["self"] == api.emulator.url + PROJECTS
    assert (none.status_code, names(none)) == (200, [])


def test_several_projects_may_have_one_name(start, call_signed):
    options = {"project_ids": ["p", "q"], "project_names": {"p": "eu-de", "q": "eu-de"}}
    emulator = start(**options).emulator

    answer = call_signed(emulator, whole_path=PROJECTS, query=[("name", "eu-de")])

    assert names(answer) == [("p", "eu-de"), ("q", "eu-de")]


@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": "other"}], ids=["nothing", "token"])
@pytest.mark.parametrize(("method", "path"), [("GET", PROJECTS), ("POST", KEYS)])
def test_who_is_not_known_is_refused_in_the_words_of_iam(api, method, path, headers):
    body = {"auth": {"identity": {"methods": ["token"]}}}

    refused(ask(api, method, path, body, headers), 401, "The X-Auth-Token is invalid!")


def test_an_expired_token_is_refused_in_the_words_of_iam(api, emulator):
    headers = {"X-Auth-Token": token_of(api)}
    emulator.expire_credentials()

    answer = ask(api, "GET", PROJECTS, headers=headers)

    refused(answer, 401, "The X-Auth-Token is invalid!")


def test_a_wrong_signature_is_refused_by_the_gateway_before_iam(emulator, call_signed):
    answer = call_signed(emulator, whole_path=PROJECTS, secret_key="other")

    assert answer.status_code == 401
    assert answer.json()["error_code"] == "APIGW.0301"


def agency(**changes):
    role = {"agency_name": "emulator-agency", "domain_name": "emulator-account"} | changes
    role = {name: value for name, value in role.items() if value is not None}
    return {"auth": {"identity": {"methods": ["assume_role"], "assume_role": role}}}


def credential(answer):
    assert answer.status_code == 201
    given = answer.json()["credential"]
    assert set(given) == {"access", "secret", "securitytoken", "expires_at"}
    return given


def call_with(call_signed, emulator, given, **more):
    headers = {"X-Security-Token": given["securitytoken"]}
    pair = {"access_key": given["access"], "secret_key": given["secret"]}
    return call_signed(emulator, headers=headers, **pair, **more)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"domain_name": None, "domain_id": "fedcba9876543210fedcba9876543210"},
        {"agency_name": None, "xrole_name": "emulator-agency"},
    ],
    ids=["names", "id of the account", "older name of the field"],
)
def test_a_signature_and_an_agency_give_a_key_that_opens_dli(emulator, call_signed, changes):
    body = json.dumps(agency(**changes))

    given = credential(call_signed(emulator, "POST", whole_path=KEYS, body=body))

    assert given["expires_at"] == "2023-11-14T22:28:20.000000Z"
    assert call_with(call_signed, emulator, given).status_code == 200


def test_a_token_and_an_agency_give_a_key(api):
    headers = {"X-Auth-Token": token_of(api)}

    credential(ask(api, "POST", KEYS, agency(), headers))

    assert [key.source for key in api.emulator.issued_keys] == ["agency"]


@pytest.mark.parametrize("changes", [{"agency_name": "other"}, {"domain_name": "other"}], ids=str)
def test_an_unknown_agency_or_account_is_refused(api, changes):
    answer = ask(api, "POST", KEYS, agency(**changes), {"X-Auth-Token": token_of(api)})

    refused(answer, 403, "You have no right to do this action")


@pytest.mark.parametrize(
    "lifetime",
    [{"duration_seconds": 3600}, {"duration-seconds": 3600}, {"duration_seconds": "3600"}],
    ids=str,
)
def test_a_key_lives_as_long_as_asked_for(emulator, call_signed, lifetime):
    body = json.dumps(agency(**lifetime))

    given = credential(call_signed(emulator, "POST", whole_path=KEYS, body=body))

    assert given["expires_at"] == "2023-11-14T23:13:20.000000Z"


def test_a_key_lives_no_longer_than_the_settings_allow(start, call_signed):
    emulator = start(key_seconds=60).emulator
    body = json.dumps(agency(duration_seconds=3600))

    given = credential(call_signed(emulator, "POST", whole_path=KEYS, body=body))

    assert given["expires_at"] == "2023-11-14T22:14:20.000000Z"


@pytest.mark.parametrize(
    "changes",
    [
        {"agency_name": None},
        {"domain_name": None},
        {"duration_seconds": 899},
        {"duration_seconds": 86401},
        {"duration_seconds": "long"},
        {"duration_seconds": [900]},
    ],
    ids=str,
)
def test_a_body_that_asks_for_no_key_is_invalid(api, changes):
    answer = ask(api, "POST", KEYS, agency(**changes), {"X-Auth-Token": token_of(api)})

    refused(answer, 400, INVALID)


def test_another_method_than_agency_and_token_is_invalid(api):
    refused(ask(api, "POST", KEYS, {"auth": {"identity": {"methods": ["x"]}}}), 400, INVALID)


def token_body(**token):
    return {"auth": {"identity": {"methods": ["token"], "token": token}}}


def test_a_token_in_the_header_gives_a_key_that_opens_dli(api, emulator, call_signed):
    headers = {"X-Auth-Token": token_of(api)}

    given = credential(ask(api, "POST", KEYS, token_body(duration_seconds=900), headers))

    assert call_with(call_signed, emulator, given).status_code == 200


def test_a_token_in_the_body_gives_a_key(api):
    credential(ask(api, "POST", KEYS, token_body(id=token_of(api))))

    assert [key.source for key in api.emulator.issued_keys] == ["token"]


def test_the_token_in_the_header_goes_before_that_in_the_body(api):
    headers = {"X-Auth-Token": "other"}

    answer = ask(api, "POST", KEYS, token_body(id=token_of(api)), headers)

    refused(answer, 401, "The X-Auth-Token is invalid!")


@pytest.mark.parametrize("end", ["of its time", "by the test"])
def test_an_expired_key_is_unknown(emulator, call_signed, clock, end):
    body = json.dumps(agency())
    given = credential(call_signed(emulator, "POST", whole_path=KEYS, body=body))

    if end == "by the test":
        emulator.expire_credentials()
    else:
        clock.now += 900
    answer = call_with(call_signed, emulator, given)

    assert answer.status_code == 401
    assert answer.json()["error_msg"].endswith(f"ak {given['access']} not exist")


def test_what_is_given_out_is_of_the_length_of_real_ones(emulator, call_signed, api):
    body = json.dumps(agency())

    given = credential(call_signed(emulator, "POST", whole_path=KEYS, body=body))

    assert (len(given["access"]), len(given["secret"])) == (20, 40)
    assert len(given["securitytoken"]) > 500
    assert len(token_of(api)) > 1500


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", TOKENS), ("POST", PROJECTS), ("GET", "/v3"), ("GET", "/v3.0/users"), ("PUT", KEYS)],
)
def test_what_iam_is_not_asked_for_is_a_404_of_the_gateway(api, method, path):
    answer = ask(api, method, path)

    assert (answer.status_code, answer.json()["error_code"]) == (404, "APIGW.0101")


def test_a_body_of_more_than_12_mb_is_refused(api):
    answer = api.session.post(
        api.emulator.url + TOKENS, data=b"x" * (12 * 1024 * 1024 + 1), timeout=60
    )

    assert (answer.status_code, answer.json()["error_code"]) == (413, "APIGW.0201")


def test_no_secret_of_a_request_is_recorded_or_logged(api, emulator, caplog):
    caplog.set_level("DEBUG")
    token = token_of(api)
    ask(api, "POST", KEYS, token_body(id=token))
    ask(api, "POST", KEYS, agency(), {"X-Auth-Token": token})
    api.session.post(
        emulator.url + TOKENS, data=f'{{"password": "{emulator.settings.password}"', timeout=60
    )
    ask(api, "POST", TOKENS, [emulator.settings.users[0]])

    first, second, third, fourth, fifth = api.control("GET", "/requests").json()

    seen = json.dumps([first, second, third, fourth, fifth]) + caplog.text
    issued = emulator.issued_keys[0]
    for secret in (token, emulator.settings.password, issued.secret_key, issued.security_token):
        assert secret not in seen
    user = first["body"]["auth"]["identity"]["password"]["user"]
    assert (user["name"], user["password"]) == ("emulator-user", "***")
    assert second["body"]["auth"]["identity"]["token"] == {"id": "***"}
    assert third["headers"]["x-auth-token"] == "***"
    assert fourth["body"] == "***"
    assert fifth["body"] == ["emulator-user"]


def test_a_fault_of_every_call_spares_iam_unless_it_is_named(api):
    api.control("POST", "/faults", {"action": "throttled", "times": None})
    spared = sign_in(api)
    api.control("POST", "/faults", {"action": "unavailable", "path": TOKENS})

    hit = sign_in(api)

    assert (spared.status_code, hit.status_code) == (201, 503)
    assert api("GET", "/resources").status_code == 429
