"""Why pip collected nothing is told with what helps against it, and without secrets."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from staging.requirements.wheels import asks, build
from told import told

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.staging.content import LocalPackage


def test_what_has_only_compiled_wheels_is_named(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", tag="cp311-cp311-linux_x86_64", pure=False)
    asks(dags, "alpha")

    with pytest.raises(InputError) as caught:
        gather("requirements.txt")

    text = str(caught.value)
    assert text.startswith("sources is 'requirements.txt': pip cannot collect it: ")
    assert "No matching distribution found for alpha. Only wheels of pure Python" in text
    assert "into the image of the job; or use a version" in text


def test_versions_that_contradict_each_other_are_told(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", needs=["common>=2"])
    build(dags / "wheels", "beta", needs=["common<2"])
    build(dags / "wheels", "common", "1.0")
    build(dags / "wheels", "common", "2.0")
    asks(dags, "alpha", "beta")

    with pytest.raises(InputError, match=r"alpha 1.0 depends on common>=2; beta 1.0 depends on"):
        gather("requirements.txt")


def test_a_name_that_no_index_has_is_told_as_such(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha")
    asks(dags, "alfa")

    with pytest.raises(InputError, match="index has nothing named alfa: correct it, or"):
        gather("requirements.txt")


def test_a_version_that_there_is_not_is_told_with_those_that_there_are(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    for minor in range(9):
        build(dags / "wheels", "alpha", f"1.{minor}")
    asks(dags, "alpha==2.0")

    with pytest.raises(InputError) as caught:
        gather("requirements.txt")

    assert "(from versions: …, 1.4, 1.5, 1.6, 1.7, 1.8)" in str(caught.value)
    assert str(caught.value).endswith(
        "Use one of these versions: no other has a wheel of pure Python for this Python"
    )


def test_a_dependency_that_has_only_compiled_wheels_is_named(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha", needs=["beta"])
    build(dags / "wheels", "beta", tag="cp311-cp311-linux_x86_64", pure=False)
    asks(dags, "alpha")

    with pytest.raises(InputError) as caught:
        gather("requirements.txt")

    assert "beta" in str(caught.value)
    assert ". Only wheels of pure Python can be imported from a zip" in str(caught.value)


def test_a_constraints_file_that_is_not_there_is_told_as_such(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    build(dags / "wheels", "alpha")
    asks(dags, "alpha", "-c gone.txt")

    with pytest.raises(InputError, match=r"gone\.txt'\. Paths start from the folder of"):
        gather("requirements.txt")


@pytest.mark.parametrize(
    ("lines", "remedy"),
    [
        (["alpha beta"], "Correct that line"),
        (["--no-such-option"], "Correct that line"),
        (["./wheels/gone-1.0-py3-none-any.whl"], "Paths start from the folder of the file"),
        ([f"alpha==1.0 --hash=sha256:{'0' * 64}"], "Add the hashes of its wheels"),
        (["alpha==1.0", "alpha<1"], "Loosen one of these requirements"),
    ],
)
def test_each_cause_has_its_remedy(
    dags: Path, gather: Callable[..., LocalPackage], lines: list[str], remedy: str
) -> None:
    build(dags / "wheels", "alpha")
    asks(dags, *lines)

    with pytest.raises(InputError, match=rf"\. {remedy}"):
        gather("requirements.txt")


@pytest.fixture
def index() -> Iterator[Callable[[int], str]]:
    """Start an index that answers everything with one status, and give its address."""
    servers: list[http.server.HTTPServer] = []

    def start(status: int) -> str:
        class Answering(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Answering)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "Check user and password of the index"),
        (403, "Check user and password of the index"),
        (404, "The index has nothing named alpha"),
        (503, "The server has a problem; try again later"),
    ],
)
def test_each_answer_of_an_index_has_its_remedy(
    dags: Path,
    gather: Callable[..., LocalPackage],
    index: Callable[[int], str],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    remedy: str,
) -> None:
    address = f"http://user:hidden@{index(status)}/simple"
    (dags / "requirements.txt").write_text(f"--index-url {address}\nalpha\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")

    with pytest.raises(InputError, match=remedy) as caught:
        gather("requirements.txt")

    assert str(status) in str(caught.value) or status == 404
    assert "hidden" not in told(caught.value)


@pytest.mark.parametrize(
    ("status", "remedy"), [(403, "Check user"), (404, "There is nothing at this")]
)
def test_the_signature_of_an_address_is_never_quoted(
    dags: Path,
    gather: Callable[..., LocalPackage],
    index: Callable[[int], str],
    status: int,
    remedy: str,
) -> None:
    address = f"http://{index(status)}/alpha-1.0-py3-none-any.whl?AccessKeyId=a&Signature=hidden"
    (dags / "requirements.txt").write_text(f"alpha @ {address}\n")

    with pytest.raises(InputError, match=remedy) as caught:
        gather("requirements.txt")

    assert "alpha-1.0-py3-none-any.whl?…" in str(caught.value)
    assert "hidden" not in told(caught.value)


def test_an_index_out_of_reach_is_told_as_such(
    dags: Path, gather: Callable[..., LocalPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    (dags / "requirements.txt").write_text("--index-url https://127.0.0.1:1/simple\nalpha\n")
    monkeypatch.setenv("PIP_RETRIES", "1")

    with pytest.raises(InputError) as caught:
        gather("requirements.txt")

    assert "pip cannot collect it: connection broken by " in str(caught.value)
    assert str(caught.value).endswith("Check that this machine can reach the package index of pip")


@pytest.mark.parametrize(
    "line",
    [
        "alpha @ https://user:hidden@127.0.0.1:1/alpha-1.0-py3-none-any.whl;;",
        "--index-url https://user:hid/den@127.0.0.1:1/simple --hidden-is-no-option",
        f"alpha=={'1' * 180} https://user:hidden@127.0.0.1:1/simple",
    ],
)
def test_the_credentials_of_an_index_are_never_quoted(
    dags: Path, gather: Callable[..., LocalPackage], line: str
) -> None:
    (dags / "requirements.txt").write_text(f"{line}\n")

    with pytest.raises(InputError) as caught:
        gather("requirements.txt")

    words = told(caught.value).replace("hidden-is-no-option", "")
    assert "hidden" not in words
    assert "hid/den" not in words


def test_a_broken_wheel_is_told_in_pips_words(
    dags: Path, gather: Callable[..., LocalPackage]
) -> None:
    (dags / "alpha-1.0-py3-none-any.whl").write_text("no zip")

    with pytest.raises(InputError, match=r"Wheel 'alpha' located at \S+ is invalid"):
        gather("alpha-1.0-py3-none-any.whl")


def test_a_pip_that_ends_without_a_word_is_told_by_its_status(
    tmp_path: Path,
    dags: Path,
    gather: Callable[..., LocalPackage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asks(dags, "alpha")
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(7)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(InputError, match=r"it: status 7\. Run pip download with this file"):
        gather("requirements.txt")
