"""`inferir package`: an .apr file -> what is deployed to AWS Lambda."""

from __future__ import annotations

from pathlib import Path

import click

from inferir.cli._options import EXISTING
from inferir.cli._output import bytes_text
from inferir.errors import InvalidInputError

_TARGETS = ("lambda", "lambda-image")
_ARCHITECTURES = ("x86_64", "arm64")
_RUNTIMES = ("python3.12", "python3.13", "python3.14", "provided.al2023")


@click.command
@click.argument("model", type=EXISTING)
@click.option(
    "--target",
    type=click.Choice(_TARGETS),
    default="lambda",
    show_default=True,
    help="A zip, with a SAM template and a deploy script beside it; or a folder to build a container image from.",
)
@click.option("--arch", type=click.Choice(_ARCHITECTURES), default="arm64", show_default=True, help="Processor.")
@click.option(
    "--runtime",
    type=click.Choice(_RUNTIMES),
    default="python3.13",
    show_default=True,
    help="Lambda's runtime. provided.al2023 needs a Python: in a layer, or with --python.",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=str), metavar="PATH", help="The zip, or the folder."
)
@click.option(
    "--entry",
    type=click.Choice(("loop", "handler")),
    default="loop",
    show_default=True,
    help="Who speaks with Lambda: Inferir's own loop, which starts sooner, or AWS's runtime.",
)
@click.option(
    "--interpreter",
    metavar="PYTHON",
    help="A Python of the runtime's version on this machine, by which the modules are compiled.  "
    "[default: python3.13 for python3.13, if there is one]",
)
@click.option(
    "--python", "python_folder", type=click.Path(path_type=str), metavar="FOLDER", help="A Python to put into the zip."
)
@click.option("--model-url", metavar="URL", help="s3://bucket/key of a model over 200 MB, which is fetched at start.")
def package(
    model: str,
    target: str,
    arch: str,
    runtime: str,
    output: str,
    entry: str,
    interpreter: str | None,
    python_folder: str | None,
    model_url: str | None,
) -> None:
    """Make what is deployed to AWS Lambda.

    MODEL is an .apr file. The package has the model, its kernels for one processor, and the modules that run them: no
    NumPy, no Numba, nothing to install. The same model and options make the same bytes.

    \b
    Examples:
      inferir package model.apr --target lambda -o model.zip
      inferir package model.apr --arch x86_64 --runtime provided.al2023 --python cpython-3.13 -o model.zip
      inferir package model.apr --target lambda-image -o image
    """
    from inferir.formats.apr.source import open_source
    from inferir.lambda_entry.package import Options, build

    if python_folder is not None and not Path(python_folder, "bin", "python3").exists():
        raise InvalidInputError(f"--python: expected a folder with bin/python3, got {python_folder!r}")
    options = Options(
        arch=arch,
        runtime=runtime,
        interpreter=interpreter,
        python=Path(python_folder) if python_folder else None,
        model_url=model_url,
        entry=entry,
    )
    made = build(bytes(open_source(model)), options)
    path = Path(output)
    for written in made.write_zip(path) if target == "lambda" else made.write_image(path):
        size = f", {bytes_text(written.stat().st_size)}" if written.is_file() else ""
        click.echo(f"{written}{size}")
    for note in made.notes:
        click.echo(f"note: {note}", err=True)
