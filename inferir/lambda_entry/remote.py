"""A model that is too large for a package: fetched from a bucket to /tmp once, and there for every later start."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from inferir.errors import ChecksumError, FileAccessError, ModelLoadError
from inferir.lambda_entry import jsontext
from inferir.lambda_entry.s3 import Bucket, parse_url

__all__ = ["fetch"]


def fetch(about: str, folder: str = "/tmp") -> str:
    """Path of the model that the file `about` describes: {"url": "s3://...", "nbytes": ..., "sha256": "..."}.

    It is written under another name and then renamed, so that a file of the right name is whole: processes that start
    side by side may both fetch it, and the later one replaces it with the same bytes.

    Raises FileAccessError (E010), ChecksumError (E002) where the bucket has other bytes.
    """
    with open(about, "rb") as file:
        expected = _expected(jsontext.loads(file.read()))
    path = os.path.join(folder, f"inferir-{expected['sha256']}.apr")
    if os.path.exists(path) and os.path.getsize(path) == expected["nbytes"]:
        return path
    bucket, key = parse_url(expected["url"])
    part = f"{path}.{os.getpid()}"
    digest, nbytes = hashlib.sha256(), 0
    try:
        with open(part, "wb") as file:
            for piece in Bucket(bucket).read(key):
                nbytes += len(piece)
                if nbytes > expected["nbytes"]:
                    break
                digest.update(piece)
                file.write(piece)
        if nbytes != expected["nbytes"] or digest.hexdigest() != expected["sha256"]:
            raise ChecksumError(
                f"{expected['url']}: expected {expected['nbytes']} bytes with SHA-256 {expected['sha256']}, "
                f"got {nbytes} bytes with {digest.hexdigest()}"
            )
        os.replace(part, path)
    except OSError as error:
        if isinstance(error, FileAccessError):
            raise
        raise FileAccessError(f"{path}: expected to write the model there, got: {error.strerror}") from error
    finally:
        if os.path.exists(part):
            os.unlink(part)
    return path


def _expected(about: Any) -> dict[str, Any]:
    kinds = {"url": str, "nbytes": int, "sha256": str}
    if type(about) is not dict or any(type(about.get(key)) is not kind for key, kind in kinds.items()):
        raise ModelLoadError(f"expected url, nbytes and sha256 of a model, got {about!r:.200}")
    return about
