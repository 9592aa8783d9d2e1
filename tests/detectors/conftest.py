from __future__ import annotations

import contextlib
import datetime
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from landmark_ops.detectors import session
from landmark_ops.detectors.spec import ModelSpec


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty model cache, no mirror, no specs of the user's own."""
    for name in ("LANDMARKS_MODEL_MIRROR", "LANDMARKS_MODEL_SPECS", "LANDMARKS_PROVIDERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANDMARKS_MODEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def real_models(shared: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real model files as the mirror."""
    monkeypatch.setenv("LANDMARKS_MODEL_MIRROR", str(shared / "models"))
    return shared / "models"


@pytest.fixture
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process: no network loaded yet, none left behind."""
    monkeypatch.setattr(session, "_loaded", type(session._loaded)())


@pytest.fixture
def make_spec(cache: Path) -> Callable[..., ModelSpec]:
    """Builds the spec of a tiny model given as bytes; keywords change its keys."""

    def make(data: bytes, **changed: object) -> ModelSpec:
        values = {
            "name": "tiny",
            "file": "tiny/tiny.onnx",
            "licence": "MIT",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_bytes": len(data),
            "input": {"width": 8, "height": 8},
            "outputs": ["mean"],
            "decoder": "regression68",
        }
        return ModelSpec.model_validate(values | changed)

    return make


class HttpsServer:
    """Files over https on loopback: `files` by path, `faults` by path, used up one per request; `requests` counts."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[str]] = {}
        self.requests: list[str] = []


@pytest.fixture
def https_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpsServer]:
    """A server whose certificate this process, and those it starts, believe."""
    certificate = _self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("no_proxy", "*")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            body = served.files.get(self.path)
            faults = served.faults.get(self.path, [])
            fault = faults.pop(0) if faults else ""
            if fault.startswith("http://"):
                self.send_response(302)
                self.send_header("Location", fault)
                self.end_headers()
            elif fault.isdigit() or body is None:
                self.send_error(int(fault or 404))
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False
        block_on_close = True

        def handle_error(self, request: object, address: object) -> None:
            """Clients that hang up are meant to."""

        def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
            """Without TLS's farewell, which a client that hung up would not answer."""
            self.close_request(request)

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    served = HttpsServer(f"https://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


def _self_signed(folder: Path) -> Path:
    x509 = pytest.importorskip("cryptography.x509", reason="comes with moto, one of the dev extras")
    import ipaddress

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "loopback.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def s3_models(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """s3:// address of a new, empty bucket of a mock S3 on loopback."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    with contextlib.closing(boto3.client("s3")) as client:
        client.create_bucket(Bucket="models")
    yield "s3://models/mirror"
    server.stop()
