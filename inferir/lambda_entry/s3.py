"""Objects in S3, or in storage that speaks its protocol: read one, write one. Only functions that need it import this.

Requests are signed with AWS Signature Version 4, docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html,
with the credentials that Lambda puts into the environment. Buckets are addressed in the path where AWS_ENDPOINT_URL_S3
names another server, and in the host name otherwise. Failures that pass are tried again, twice.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, NamedTuple
from urllib.parse import quote, urlsplit

from inferir.errors import FileAccessError, InvalidInputError

__all__ = ["Bucket", "parse_url", "signed_headers"]

_TIMEOUT_S = 30.0
_PAUSES_S = (0.2, 1.0)
_CHUNK_BYTES = 1024 * 1024
_EMPTY = hashlib.sha256(b"").hexdigest()


class Credentials(NamedTuple):
    key_id: str
    secret: str
    token: str
    region: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Credentials:
        """Raises FileAccessError where the environment has none."""
        try:
            key_id, secret = environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"]
        except KeyError as error:
            raise FileAccessError(f"expected credentials for S3 in the environment, got no {error.args[0]}") from None
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        return cls(key_id, secret, environ.get("AWS_SESSION_TOKEN", ""), region)

    def __repr__(self) -> str:
        return f"Credentials({self.key_id!r}, secret, token, {self.region!r})"


def parse_url(url: str) -> tuple[str, str]:
    """Bucket and key of s3://bucket/key. Raises InvalidInputError (E006) for another URL."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket or not key:
        raise InvalidInputError(f"expected s3://bucket/key, got {url!r}")
    return bucket, key


def signed_headers(
    method: str, host: str, path: str, payload_sha256: str, credentials: Credentials, now: float
) -> dict[str, str]:
    """Headers of a request without a query, its signature among them. `path` is encoded, `now` in seconds."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    headers = {"host": host, "x-amz-content-sha256": payload_sha256, "x-amz-date": moment}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"{method}\n{path}\n\n{lines}\n{names}\n{payload_sha256}"
    scope = f"{moment[:8]}/{credentials.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


class Bucket:
    """A bucket, as the environment gives access to it."""

    def __init__(self, name: str, environ: Mapping[str, str] = os.environ) -> None:
        self.name = name
        self._credentials = Credentials.from_environ(environ)
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
        if endpoint:
            parts = urlsplit(endpoint)
            self._secure, self._host = parts.scheme != "http", parts.netloc
            self._prefix = f"{parts.path.rstrip('/')}/{quote(name)}"
        else:
            self._secure, self._host = True, f"{name}.s3.{self._credentials.region}.amazonaws.com"
            self._prefix = ""

    def read(self, key: str) -> Iterator[bytes]:
        """The bytes of an object, in pieces. Raises FileAccessError (E010)."""
        connection, response = self._exchange("GET", key, None, _EMPTY, 0)
        try:
            while piece := response.read(_CHUNK_BYTES):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise FileAccessError(f"s3://{self.name}/{key}: expected all of the object, got {error!r}") from error
        finally:
            connection.close()

    def write(self, key: str, file: IO[bytes]) -> None:
        """Write an object, all of it or nothing, from a whole file. Raises FileAccessError."""
        digest, length = hashlib.sha256(), 0
        file.seek(0)
        while piece := file.read(_CHUNK_BYTES):
            digest.update(piece)
            length += len(piece)
        connection, response = self._exchange("PUT", key, file, digest.hexdigest(), length)
        response.read()
        connection.close()

    def _exchange(self, method: str, key: str, file: IO[bytes] | None, sha256: str, length: int) -> Any:
        path = f"{self._prefix}/{quote(key, safe='/~')}"
        make: Callable[..., http.client.HTTPConnection] = (
            http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        )
        for pause_s in (*_PAUSES_S, None):
            headers = signed_headers(method, self._host, path, sha256, self._credentials, time.time())
            if file is not None:
                file.seek(0)
                headers["content-length"] = str(length)
            connection = make(self._host, timeout=_TIMEOUT_S)
            try:
                connection.request(method, path, body=file, headers=headers)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                said = repr(error)
            else:
                if response.status == 200:
                    return connection, response
                said = f"status {response.status}: {response.read(300)!r}"
                connection.close()
                if response.status < 500 and response.status != 429:
                    break
            if pause_s is not None:
                time.sleep(pause_s)
        raise FileAccessError(f"s3://{self.name}/{key}: expected to {method} it, got {said}")
