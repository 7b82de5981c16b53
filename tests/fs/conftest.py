"""An object store behind a gate that notes each request and refuses what a test names."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from builders import connection_json
from conftest import other_client
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from airflow_provider_dli.fs.obs import ObsFileSystem

Respond = Callable[[str, list[tuple[str, str]]], Any]


@dataclass
class Gate:
    """What stands before the store: `asked` are the requests, verb, path and query of each."""

    address: str = ""
    asked: list[str] = field(default_factory=list)
    _refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    _store: Any = field(default_factory=lambda: DomainDispatcherApplication(create_backend_app))

    def refuse(self, beginning: str, status: str, code: str) -> None:
        """Refuse the requests that begin like this from now on."""
        self._refused[beginning] = (status, code)

    def __call__(self, environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        query = environ["QUERY_STRING"]
        asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{'?' if query else ''}{query}"
        self.asked.append(asked)
        for beginning, (status, code) in self._refused.items():
            if asked.startswith(beginning):
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                respond(status, [("Content-Type", "application/xml")])
                return [f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()]
        answer: Iterable[bytes] = self._store(environ, respond)
        return answer


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    server = make_server("127.0.0.1", 0, gate, threaded=True)
    gate.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield gate
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def conn_id(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of a new connection: fsspec and Airflow keep file systems by such names."""
    name = f"obs_{uuid.uuid4().hex}"
    extra = {
        "cloud": "huawei",
        "region": "eu-west-101",
        "project_id": "0123456789abcdef0123456789abcdef",
        "obs_endpoint": gate.address,
    }
    stored = connection_json(extra, login="ACCESSKEY", password="secret-key-which-opens-nothing")
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", stored)
    return name


@pytest.fixture
def files(conn_id: str) -> Iterator[ObsFileSystem]:
    files = ObsFileSystem(conn_id=conn_id)
    yield files
    files.hook.close()


@pytest.fixture
def store(object_store: str) -> Any:
    """Give a client that nobody here wrote, to look past the file system."""
    return other_client(object_store)


@pytest.fixture
def keys(store: Any, bucket: str) -> Callable[[], list[str]]:
    """Give the keys in the bucket, as the other client sees them."""
    return lambda: [one["Key"] for one in store.list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.fixture
def parts_left(store: Any, bucket: str) -> Callable[[], int]:
    """Count the uploads in parts that were begun and not ended."""
    return lambda: len(store.list_multipart_uploads(Bucket=bucket).get("Uploads", []))
