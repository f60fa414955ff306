"""The S3 client against botocore's signer where it is there, AWS's published example, and a server that misbehaves."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inferir.errors import ChecksumError, FileAccessError, InvalidInputError, ModelLoadError
from inferir.lambda_entry import s3
from inferir.lambda_entry.packaged import open_package
from inferir.lambda_entry.remote import fetch
from inferir.lambda_entry.s3 import Bucket, Credentials, parse_url, signed_headers
from tests.lambda_entry.conftest import Packaged

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret/+", "AWS_SESSION_TOKEN": "token=="}
EMPTY = hashlib.sha256(b"").hexdigest()


def test_signatures_are_those_of_aws_s_documentation() -> None:
    """docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "GET Object" without its range header, by
    hmac calls written out from the page's formula.
    """
    import hmac

    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", secret, "", "us-east-1")
    moment = 1369353600  # 2013-05-24T00:00:00Z
    headers = signed_headers("GET", "examplebucket.s3.amazonaws.com", "/test.txt", EMPTY, credentials, moment)
    canonical = (
        "GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\n"
        f"x-amz-content-sha256:{EMPTY}\nx-amz-date:20130524T000000Z\n\n"
        f"host;x-amz-content-sha256;x-amz-date\n{EMPTY}"
    )
    to_sign = (
        "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"
        + hashlib.sha256(canonical.encode()).hexdigest()
    )
    key = hmac.new(b"AWS4" + secret.encode(), b"20130524", "sha256").digest()
    for word in (b"us-east-1", b"s3", b"aws4_request"):
        key = hmac.new(key, word, "sha256").digest()
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature="
        + hmac.new(key, to_sign.encode(), "sha256").hexdigest()
    )


@pytest.mark.parametrize("path", ["/bucket/a", "/bucket/a%20b/%C3%BC~-_.x"])
def test_signatures_are_botocore_s(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = pytest.importorskip("botocore.auth", reason="botocore is not here")
    awsrequest = pytest.importorskip("botocore.awsrequest")
    credentials = pytest.importorskip("botocore.credentials").Credentials("AKID", "secret", "token")
    request = awsrequest.AWSRequest("PUT", f"https://host.example{path}", data=b"data")
    auth.S3SigV4Auth(credentials, "s3", "eu-central-1").add_auth(request)
    import calendar
    import time

    now = calendar.timegm(time.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ"))
    ours = signed_headers(
        "PUT", "host.example", path, hashlib.sha256(b"data").hexdigest(),
        Credentials("AKID", "secret", "token", "eu-central-1"), now,
    )  # fmt: skip
    assert (
        ours["authorization"].rpartition("Signature=")[2]
        == (request.headers["Authorization"].rpartition("Signature=")[2])
    )


class Storage:
    """A bucket server that checks signatures, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.failures: list[int] = []
        self.requests: list[str] = []
        storage = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.checked(EMPTY):
                    found = storage.objects.get(self.path)
                    self.say(404 if found is None else 200, found or b"<Code>NoSuchKey</Code>")

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.checked(hashlib.sha256(body).hexdigest()):
                    storage.objects[self.path] = body
                    self.say(200, b"")

            def checked(self, sha256: str) -> bool:
                storage.requests.append(f"{self.command} {self.path}")
                import calendar
                import time

                now = calendar.timegm(time.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))
                credentials = Credentials.from_environ(KEYS)
                right = signed_headers(self.command, self.headers["Host"], self.path, sha256, credentials, now)
                if self.headers["Authorization"] != right["authorization"]:
                    self.say(403, b"<Code>SignatureDoesNotMatch</Code>")
                    return False
                if storage.failures:
                    self.say(storage.failures.pop(0), b"again")
                    return False
                return True

            def say(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    made = Storage()
    for name, value in {**KEYS, "AWS_ENDPOINT_URL_S3": made.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3, "_PAUSES_S", (0.001, 0.001))
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_what_is_written_is_read_back(storage: Storage) -> None:
    key, data = "a b/ü?#&~.csv", bytes(range(256)) * 10_000
    Bucket("models").write(key, io.BytesIO(data))
    assert list(storage.objects) == ["/models/a%20b/%C3%BC%3F%23%26~.csv"]
    assert b"".join(Bucket("models").read(key)) == data


def test_failures_that_pass_are_tried_again_and_others_are_not(storage: Storage) -> None:
    storage.objects["/b/k"] = b"data"
    storage.failures = [503, 429]
    assert b"".join(Bucket("b").read("k")) == b"data"
    storage.failures = [500, 500, 500]
    with pytest.raises(FileAccessError, match=r"s3://b/k: expected to GET it, got status 500: b'again'"):
        list(Bucket("b").read("k"))
    storage.requests.clear()
    with pytest.raises(FileAccessError, match="NoSuchKey"):
        list(Bucket("b").read("missing"))
    assert len(storage.requests) == 1


def test_credentials_and_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileAccessError, match="expected credentials for S3 in the environment, got no AWS_ACCESS"):
        Bucket("b", {})
    assert "secret" not in repr(Credentials.from_environ(KEYS)).replace("secret, token", "")
    assert Bucket("b", KEYS)._host == "b.s3.us-east-1.amazonaws.com"
    assert parse_url("s3://b/k/l") == ("b", "k/l")
    for url in ("https://b/k", "s3://b", "s3:///k", "b/k"):
        with pytest.raises(InvalidInputError, match="expected s3://bucket/key"):
            parse_url(url)


def about(tmp_path: Path, data: bytes, **more: Any) -> str:
    path = tmp_path / "remote.json"
    said = {"url": "s3://b/m.apr", "nbytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **more}
    path.write_text(json.dumps(said))
    return str(path)


def test_a_model_is_fetched_once(storage: Storage, tmp_path: Path) -> None:
    data = b"model" * 1000
    storage.objects["/b/m.apr"] = data
    described = about(tmp_path, data)
    path = fetch(described, str(tmp_path))
    assert Path(path).read_bytes() == data
    assert fetch(described, str(tmp_path)) == path
    assert storage.requests == ["GET /b/m.apr"]
    Path(path).write_bytes(data[:-1])  # a disk that was full, say
    assert Path(fetch(described, str(tmp_path))).read_bytes() == data
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([Path(path).name, "remote.json"])


@pytest.mark.parametrize("other", [b"short", b"model" * 2000, b"MODEL" * 1000])
def test_other_bytes_than_those_packaged_are_refused_and_left_nowhere(
    storage: Storage, tmp_path: Path, other: bytes
) -> None:
    storage.objects["/b/m.apr"] = other
    with pytest.raises(ChecksumError, match=r"s3://b/m.apr: expected 5000 bytes with SHA-256"):
        fetch(about(tmp_path, b"model" * 1000), str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["remote.json"]


def test_a_description_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="expected url, nbytes and sha256"):
        fetch(about(tmp_path, b"", nbytes="5"), str(tmp_path))


def test_a_package_without_its_model_opens_with_the_one_in_the_bucket(
    storage: Storage, packaged: Packaged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("plan", "arrays"):
        (tmp_path / name).write_bytes((packaged.folder / "model" / name).read_bytes())
    storage.objects["/b/m.apr"] = packaged.contents
    about(tmp_path, packaged.contents)
    monkeypatch.setattr(fetch, "__defaults__", (str(tmp_path),))
    assert open_package([str(tmp_path)]).name == "forest"


def test_a_model_in_a_layer(packaged: Packaged, tmp_path: Path) -> None:
    first, layer = tmp_path / "task", tmp_path / "opt"
    first.mkdir()
    layer.mkdir()
    for name in ("plan", "arrays"):
        (first / name).write_bytes((packaged.folder / "model" / name).read_bytes())
    with pytest.raises(FileAccessError, match=r"expected the model at .*task/model.apr or .*opt/model.apr"):
        open_package([str(first), str(layer)])
    (layer / "model.apr").write_bytes(packaged.contents)
    assert open_package([str(first), str(layer)]).version == "3"
