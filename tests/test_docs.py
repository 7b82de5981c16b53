"""The code in the documentation runs as it stands there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from conftest import connection

from airflow_provider_dli import exceptions
from airflow_provider_dli.emulator import running

ROOT = Path(__file__).parent.parent
DECISIONS = sorted(
    page for page in (ROOT / "docs" / "decisions").glob("*.md") if page.name != "README.md"
)
HERE = re.compile(r"<<'END'\n(.*?)^END$", re.DOTALL | re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(document: str) -> list[str]:
    return PYTHON.findall((ROOT / document).read_text())


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own documentation
    return names


def test_the_dag_of_the_readme_has_its_tasks() -> None:
    pytest.importorskip("airflow.sdk", reason="the README is written for Airflow 3")

    code = blocks("README.md")[0].replace('DAG("count_words"):', 'DAG("count_words") as dag:')

    assert run(code)["dag"].task_ids == ["stage", "count"]


def test_the_task_of_the_readme_is_a_task() -> None:
    pytest.importorskip("airflow.sdk", reason="the README is written for Airflow 3")

    assert callable(run(blocks("README.md")[1])["packages"].function)


def test_the_dag_of_the_staging_page_has_its_task() -> None:
    pytest.importorskip("airflow.sdk", reason="the page is written for Airflow 3")

    code = blocks("docs/staging.md")[0].replace('DAG("stage"):', 'DAG("stage") as dag:')

    assert run(code)["dag"].task_ids == ["stage_everything"]


def test_the_dag_of_the_object_storage_page_writes_and_counts(
    bucket: str, object_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("airflow.sdk", reason="the page is written for Airflow 3")
    with running(obs_endpoint=object_store) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
        names = run(blocks("docs/object-storage.md")[0].replace("my-bucket", bucket))

        assert names["count_lines"].function(names["write_report"].function("2026-11-20")) == 2


def test_the_task_of_the_staging_page_finds_the_largest_object(
    bucket: str, object_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("airflow.sdk", reason="the page is written for Airflow 3")
    with running(obs_endpoint=object_store) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))
        names = run(blocks("docs/staging.md")[1])
        names["ObsHook"]().write_object(bucket, "small", b"1")
        names["ObsHook"]().write_object(bucket, "large", b"12")

        assert names["largest"].function(bucket) == "large"


def test_the_dag_of_the_spark_page_has_its_tasks() -> None:
    pytest.importorskip("airflow.sdk", reason="the page is written for Airflow 3")

    code = blocks("docs/spark.md")[0].replace('DAG("count_words"):', 'DAG("count_words") as dag:')

    assert run(code)["dag"].task_ids == ["stage", "count"]


def test_the_dag_of_the_first_job_has_its_task() -> None:
    pytest.importorskip("airflow.sdk", reason="the page is written for Airflow 3")
    (code,) = HERE.findall((ROOT / "docs" / "spark.md").read_text())

    dag = run(code.replace('DAG("first_job"):', 'DAG("first_job") as dag:'))["dag"]

    assert dag.task_ids == ["run"]


def test_the_task_of_the_spark_page_runs_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("airflow.sdk", reason="the page is written for Airflow 3")
    with running(batch_seconds=0.1) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DLI_DEFAULT", connection(emulator))

        assert run(blocks("docs/spark.md")[1])["count"].function("today") == "success"

        assert emulator.submissions == {"count-today": 1}


def test_the_retry_policy_of_the_operators_page_decides_by_what_an_error_carries() -> None:
    pytest.importorskip("airflow.sdk.definitions.retry_policy", reason="new in Airflow 3.3")
    policy = run(blocks("docs/operators.md")[0])["DliRetryPolicy"]()

    def decide(error: Exception) -> tuple[str, float | None]:
        decision = policy.evaluate(error, 1, 3)
        delay = decision.retry_delay
        return decision.action.value, delay and delay.total_seconds()

    assert decide(ValueError("x")) == ("default", None)
    assert decide(exceptions.QuotaError("x", status=400)) == ("fail", None)
    assert decide(exceptions.ServiceError("x", status=500)) == ("default", None)
    assert decide(exceptions.NotSentError("x")) == ("default", None)
    assert decide(exceptions.ThrottledError("x", status=429, retry_after=7)) == ("retry", 7.0)


def test_the_test_of_the_emulator_page_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    run(blocks("docs/emulator.md")[0])["test_a_throttled_upload_is_sent_again"](monkeypatch)


def test_the_tables_that_come_from_the_code_are_up_to_date() -> None:
    pages = list(runpy.run_path(str(ROOT / "docs" / "tables.py"))["pages"]())

    assert [page.name for page, _, _ in pages] == ["connection.md", "spark.md", "staging.md"]
    assert [page.name for page, text, renewed in pages if text != renewed] == [], "run `make docs`"


def test_no_block_of_code_is_left_out() -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]

    assert {d.name: len(PYTHON.findall(d.read_text())) for d in documents} == {
        "README.md": 2,
        "architecture.md": 0,
        "connection.md": 0,
        "emulator.md": 1,
        "object-storage.md": 1,
        "operators.md": 1,
        "performance.md": 0,
        "spark.md": 2,
        "staging.md": 2,
    }


def test_the_architecture_fits_on_two_screens() -> None:
    lines = (ROOT / "docs" / "architecture.md").read_text().splitlines()

    assert len(lines) <= 90
    assert max(map(len, lines)) <= 250


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_one_short_page(page: Path) -> None:
    title, _, status, *rest = lines = page.read_text().splitlines()

    assert len(lines) <= 40
    assert title.startswith("# ")
    assert re.fullmatch(r"Status: (accepted|replaced by .+) · Date: \d{4}-\d\d-\d\d", status)
    assert [line for line in rest if line.startswith("## ")][:2] == ["## Decision", "## Why"]


def test_every_decision_is_in_the_index_by_its_title() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()

    listed = dict(re.findall(r"^- \[(.+)\]\((.+)\)$", index, re.MULTILINE))

    titles = {page.read_text().splitlines()[0].removeprefix("# "): page.name for page in DECISIONS}
    assert listed == titles


@pytest.mark.parametrize(
    "page", [ROOT / "docs" / "architecture.md", *DECISIONS], ids=lambda page: page.stem
)
def test_links_between_these_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_paths_in_the_architecture_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    package = ROOT / "airflow_provider_dli"

    named = set(re.findall(r"`((?:\w+/)+\w*(?:\.py)?)`", text))

    folders = (ROOT, package, package / "api")
    assert {name for name in named if not any((f / name).exists() for f in folders)} == set()
