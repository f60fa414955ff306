"""Texts that go beside a package: bootstrap, SAM template, deploy script, Dockerfile."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferir.lambda_entry.package import Package

__all__ = ["bootstrap", "deploy", "dockerfile", "sam"]

#: Where a Python may be on provided.al2023: in the zip, in a layer, in an image.
_PYTHONS = "/opt/python/bin/python3 /opt/bin/python3 /var/lang/bin/python3 /usr/bin/python3"

_HANDLER = "inferir.lambda_entry.handler.handle"


def bootstrap(runtime: str) -> str:
    """The file that Lambda starts: on a managed runtime as a wrapper, which is given the interpreter as an argument."""
    if runtime != "provided.al2023":
        return (
            "#!/bin/sh\n"
            "# AWS_LAMBDA_EXEC_WRAPPER: $1 is the interpreter; what follows would be AWS's own bootstrap.\n"
            'exec "$1" -I -S "$LAMBDA_TASK_ROOT/start.py"\n'
        )
    return (
        "#!/bin/sh\n"
        'root="${LAMBDA_TASK_ROOT:-/var/task}"\n'
        f'for python in "$INFERIR_PYTHON" "$root/python/bin/python3" {_PYTHONS}; do\n'
        '  if [ -x "$python" ]; then exec "$python" -I -S "$root/start.py"; fi\n'
        "done\n"
        'echo "expected a Python in the package, in a layer at /opt/python, or at INFERIR_PYTHON" >&2\n'
        "exit 127\n"
    )


def sam(package: Package, code: str, layer: str | None) -> str:
    """A SAM template: the function, an URL for callers with AWS credentials, and a layer where there is one."""
    options = package.options
    own = options.entry == "loop"
    variables = {}
    if own and options.runtime != "provided.al2023":
        variables["AWS_LAMBDA_EXEC_WRAPPER"] = "/var/task/bootstrap"
    lines = [
        "AWSTemplateFormatVersion: '2010-09-09'",
        "Transform: AWS::Serverless-2016-10-31",
        f"Description: {_quoted(f'The model {package.name}, served by Inferir')}",
        "Resources:",
        "  Model:",
        "    Type: AWS::Serverless::Function",
        "    Properties:",
        f"      CodeUri: {_quoted(code)}",
        f"      Handler: {_HANDLER}",
        f"      Runtime: {options.runtime}",
        f"      Architectures: [{options.arch}]",
        "      MemorySize: 512",
        "      Timeout: 30",
        "      LoggingConfig:",
        "        LogFormat: JSON",
        "      FunctionUrlConfig:",
        "        AuthType: AWS_IAM",
    ]
    if variables:
        lines += ["      Environment:", "        Variables:", *(f"          {k}: {v}" for k, v in variables.items())]
    if layer:
        lines += ["      Layers:", "        - !Ref ModelLayer"]
    if options.model_url:
        bucket = options.model_url.removeprefix("s3://").partition("/")[0]
        lines += ["      Policies:", "        - S3ReadPolicy:", f"            BucketName: {_quoted(bucket)}"]
    if layer:
        lines += [
            "  ModelLayer:",
            "    Type: AWS::Serverless::LayerVersion",
            "    Properties:",
            f"      ContentUri: {_quoted(layer)}",
            f"      CompatibleArchitectures: [{options.arch}]",
        ]
    lines += ["Outputs:", "  Url:", "    Value: !GetAtt ModelUrl.FunctionUrl", ""]
    return "\n".join(lines)


def deploy(package: Package, template: str) -> str:
    """A script that deploys the template with the AWS SAM CLI."""
    stack = re.sub(r"[^A-Za-z0-9-]+", "-", f"inferir-{package.name}").strip("-")[:100]
    return (
        "#!/bin/sh\n"
        "# Deploys the model; asks AWS with the credentials and the region of the environment.\n"
        "set -eu\n"
        'cd "$(dirname "$0")"\n'
        f'stack="${{1:-{stack}}}"\n'
        f'sam deploy --template-file "{template}" --stack-name "$stack" --resolve-s3 --capabilities CAPABILITY_IAM\n'
    )


def dockerfile(package: Package) -> str:
    """A Dockerfile for the folder that `Package.write_image` makes."""
    runtime = package.options.runtime
    if runtime == "provided.al2023":
        return (
            "ARG BASE=amazon/aws-lambda-provided:al2023\n"
            "ARG PYTHON=amazon/aws-lambda-python:3.13\n"
            "FROM ${PYTHON} AS python\n"
            "FROM ${BASE}\n"
            "COPY --from=python /var/lang /var/lang\n"
            "COPY task /var/task\n"
            'ENTRYPOINT ["/var/task/bootstrap"]\n'
        )
    version = runtime.removeprefix("python")
    return (
        f"ARG BASE=amazon/aws-lambda-python:{version}\n"
        "FROM ${BASE}\n"
        "COPY task /var/task\n"
        f'ENTRYPOINT ["/var/lang/bin/python{version}", "-I", "-S", "/var/task/start.py"]\n'
    )


def _quoted(text: str) -> str:
    """A YAML string that is nothing else."""
    return "'" + text.replace("'", "''").replace("\n", " ") + "'"
