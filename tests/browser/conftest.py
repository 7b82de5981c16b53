"""An emulator, an Airflow, and a page of its UI in a real browser, once for all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser.stage import Airflow, started

from airflow_provider_dli.emulator import Emulator, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

IMAGES = Path(__file__).parents[2] / "docs" / "images"
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",  # there is none in a container
    "--disable-gpu",
    # It talks to nobody but Airflow.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with running(security_token="emulator-security-token", upload_seconds=1) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    if version("apache-airflow").startswith("2."):
        pytest.skip("the form of Airflow 2 is another one: tests/test_connection_form.py")
    with started(tmp_path_factory.mktemp("browser") / "airflow") as airflow:
        yield airflow


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    # Imported here, so that the other tests need no Playwright.
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        pytest.fail(f"There is no {CHROMIUM}: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page(airflow: Airflow, browser: Browser) -> Page:
    page = browser.new_page(base_url=airflow.url, viewport={"width": 1000, "height": 1040})
    page.set_default_timeout(10_000)
    return page


@pytest.fixture(scope="session")
def picture() -> Callable[[Page | Locator, str], None]:
    """Put a picture into docs/images, if SCREENSHOTS is set."""

    def take(what: Page | Locator, name: str) -> None:
        if os.environ.get("SCREENSHOTS"):
            what.screenshot(path=IMAGES / f"{name}.png", animations="disabled")

    return take


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs a browser: `make test-browser` runs it, `make test` does not."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
