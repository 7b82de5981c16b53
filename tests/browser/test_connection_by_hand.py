"""A connection is made in Airflow's form by hand, and DLI is reached with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from browser.stage import Airflow
from packaging.version import Version

from airflow_provider_dli.emulator import Emulator

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

pytestmark = pytest.mark.filterwarnings("ignore")

CONN_ID = "dli_by_hand"


def choose(form: Locator, field: str, label: str) -> None:
    form.get_by_role("combobox", name=field).fill(label)
    form.page.get_by_role("option", name=label, exact=True).click()


def unfold(form: Locator, section: str) -> None:
    form.get_by_role("button", name=section, exact=True).click()


def enter(form: Locator, field: str, value: str) -> None:
    form.locator(f"#element_{field}").fill(value)


def enter_seconds(form: Locator, label: str, value: str) -> None:
    form.get_by_role("spinbutton", name=label).fill(value)


def save(form: Locator) -> None:
    form.get_by_role("button", name="Save").click()
    form.wait_for(state="hidden")


def row(page: Page) -> Locator:
    """Find the connection in the list."""
    page.goto("/connections")
    return page.get_by_role("row").filter(has_text=CONN_ID)


def opened(page: Page) -> Locator:
    """Open the connection again."""
    row(page).get_by_role("button", name="Edit").click()
    return page.get_by_role("dialog")


@pytest.fixture(scope="module")
def saved(page: Page, airflow: Airflow, emulator: Emulator, picture: Callable[..., None]) -> None:
    """The connection to the emulator, made by clicking and typing."""
    given = emulator.airflow_connection
    extra = given["extra"]
    page.goto("/connections")
    page.get_by_role("button", name="Add Connection").first.click()
    form = page.get_by_role("dialog")
    form.get_by_role("textbox", name="Connection ID").fill(CONN_ID)
    choose(form, "Connection Type", "Data Lake Insight (DLI)")
    form.get_by_role("textbox", name="Access key (AK)").fill(given["login"])
    form.get_by_role("textbox", name="Secret key (SK)").fill(given["password"])
    unfold(form, "Credentials")
    choose(form, "Sign in with", "Access key and secret key")
    enter(form, "security_token", extra["security_token"])
    unfold(form, "Addresses and network")
    enter(form, "endpoint", extra["endpoint"])
    enter_seconds(form, "Read timeout", "7.5")
    unfold(form, "Cloud and project")
    choose(form, "Cloud", "Huawei Cloud")
    enter(form, "region", extra["region"])
    enter(form, "project_id", extra["project_id"])
    picture(form, "connection-form")
    save(form)


@pytest.mark.usefixtures("saved")
def test_what_was_entered_is_stored(airflow: Airflow, emulator: Emulator) -> None:
    stored = airflow.stored(CONN_ID)

    entered = {name: value for name, value in stored["extra"].items() if value is not None}
    given = emulator.airflow_connection
    chosen: dict[str, Any] = {"auth_type": "keys", "verify": True, "read_timeout": 7.5}
    assert stored | {"extra": entered} == given | {"extra": given["extra"] | chosen}


@pytest.fixture
def mended_port(page: Page) -> None:
    """Send no port where there is none, and not 0: before 3.4, Airflow refuses its own 0.

    https://github.com/apache/airflow/pull/73298
    """

    def send(route: Route) -> None:
        body = json.loads(route.request.post_data or "")
        route.continue_(post_data=json.dumps(body | {"port": body["port"] or None}))

    if Version(version("apache-airflow-core")) < Version("3.4.0b0"):
        page.route("**/api/v2/connections/test", send)


@pytest.mark.usefixtures("saved", "mended_port")
def test_the_button_says_that_the_connection_works(
    page: Page, emulator: Emulator, picture: Callable[..., None]
) -> None:
    page.set_viewport_size({"width": 1000, "height": 640})
    emulator.clear_requests()

    row(page).get_by_role("button", name="Test Connection").click()
    message = page.get_by_role("status").filter(has_text="Test Connection")
    message.wait_for()

    picture(page, "connection-test")
    assert "Test Connection Successful" in message.inner_text()
    assert emulator.requests[-1].status == 200


@pytest.mark.usefixtures("saved")
def test_no_secret_is_shown_when_it_is_opened_again(page: Page, emulator: Emulator) -> None:
    form = opened(page)
    unfold(form, "Credentials")
    shown = form.locator("#element_security_token")
    shown.wait_for()

    assert shown.input_value() == "***"
    for secret in (emulator.secret_key, emulator.security_token):
        assert secret not in page.content()


@pytest.mark.usefixtures("saved")
def test_secrets_stay_when_something_else_is_changed(page: Page, airflow: Airflow) -> None:
    before = airflow.stored(CONN_ID)

    form = opened(page)
    unfold(form, "Addresses and network")
    enter_seconds(form, "Read timeout", "8")
    save(form)

    assert airflow.stored(CONN_ID) == before | {"extra": before["extra"] | {"read_timeout": 8}}


@pytest.mark.usefixtures("saved")
def test_a_dag_run_that_uses_it_succeeds(page: Page, airflow: Airflow, emulator: Emulator) -> None:
    page.goto("/dags/by_hand")
    page.get_by_role("button", name="Trigger").click()
    page.get_by_role("dialog").get_by_role("button", name="Trigger").click()

    def ended() -> str | None:
        runs = (airflow.ask("/api/v2/dags/by_hand/dagRuns") or {}).get("dag_runs", [])
        return next((run["state"] for run in runs if run["state"] in {"success", "failed"}), None)

    assert airflow.until("the run ends", ended, seconds=60) == "success"
    assert emulator.groups()["by-hand"]["status"] == "READY"
