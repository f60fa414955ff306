"""What the container image is built of."""

from __future__ import annotations

import configparser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_image_is_built_of_all_that_the_package_is() -> None:
    """Without setup.py there would be a wheel, too: one without compiled kernels."""
    lines = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    of_metadata = {config["metadata"]["long_description"].removeprefix("file:").strip(), "LICENSE"}
    assert sent == {"inferir", "pyproject.toml", "setup.cfg", "setup.py", "constraints.txt"} | of_metadata
    assert all((ROOT / name).exists() for name in sent)


def test_an_image_without_compiled_kernels_is_not_built() -> None:
    build = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")[1]
    assert "ENV INFERIR_REQUIRE_KERNELS=1\n" in build[: build.index("pip install")]
