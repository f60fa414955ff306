"""`inferir keygen`, `inferir sign`, `inferir verify`: who made a model, and whether it is still the same."""

from __future__ import annotations

import os

import click

from inferir.cli._options import EXISTING, as_json, trusted_keys
from inferir.cli._output import print_json
from inferir.errors import ModelLoadError
from inferir.formats.apr import keys, reader, signature
from inferir.formats.prepared import nbytes_of
from inferir.formats.spec import ModelSpec


@click.command
@click.argument("private_key", type=click.Path(path_type=str))
@click.argument("public_key", type=click.Path(path_type=str), required=False)
def keygen(private_key: str, public_key: str | None) -> None:
    """Make a pair of keys to sign models with.

    PRIVATE_KEY is a new file that only you can read: it signs, so keep it. PUBLIC_KEY is for everybody who verifies; it
    is called release.pub.pem where the private one is called release.pem, unless you name it. Files that are there
    already are left alone.

    \b
    Example:
      inferir keygen release.pem
    """
    stem, suffix = os.path.splitext(private_key)
    public_key = public_key or f"{stem}.pub{suffix or '.pem'}"
    key_id = keys.keygen(private_key, public_key)
    click.echo(f"private key  {private_key}\npublic key   {public_key}\nkey id       {key_id}")


@click.command
@click.argument("model", type=EXISTING)
@click.option("--key", required=True, metavar="KEY", help="Private key, from `inferir keygen`.")
@click.option("-o", "--output", metavar="FILE", help="Where to write the signed file.  [default: in place]")
def sign(model: str, key: str, output: str | None) -> None:
    """Sign an .apr file.

    The signature (Ed25519) covers every byte of the model. A signed file is loaded only by those who name its public
    key.

    \b
    Examples:
      inferir sign model.apr --key release.pem
      inferir sign model.apr --key release.pem -o signed.apr
    """
    key_id = signature.sign(model, key, output=output)
    click.echo(f"{output or model}: signed by {key_id}")


@click.command
@click.argument("model", type=EXISTING)
@trusted_keys
@as_json
def verify(model: str, trusted_keys: tuple[str, ...], as_json: bool) -> None:
    """Check that an .apr file is whole, and who signed it.

    Tables that `inferir convert` kept are made again and compared: a file that has others is refused as well.

    Without --trusted-key an unsigned file is checked for damage, and a signed one is refused, as there is nobody to
    trust. The exit code says what is wrong: 11 not an .apr file, 12 damaged, 14 not for this version, 17 signature.

    \b
    Examples:
      inferir verify model.apr
      inferir verify model.apr --trusted-key release.pub.pem
    """
    signer = signature.verify(model, trusted_keys) if trusted_keys else None
    _check_tables(reader.read(model, trusted_keys=trusted_keys or None))
    if as_json:
        print_json({"file": model, "whole": True, "signed_by": signer})
    else:
        click.echo(f"{model}: whole, {f'signed by {signer}' if signer else 'not signed'}")


def _check_tables(spec: ModelSpec) -> None:
    """That tables which were kept are those which the model's nodes make."""
    if not nbytes_of(spec):
        return
    from inferir.prepare import differing  # imports kernels

    if wrong := differing(spec):
        raise ModelLoadError(f"expected tables as the model's nodes make them, got others: {', '.join(wrong)}")
