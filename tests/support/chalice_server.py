"""Runs `chalice` repeatedly, each time in a forked process that has already imported it.

Importing Chalice and the app, and reading AWS's descriptions of services, takes most of a
deployment's time.
"""

import gc
import json
import os
import sys
from functools import cache
from pathlib import Path

import aws_lambda_powertools  # noqa: F401 - the app imports it
import boto3
import botocore.session
from chalice.cli import main

SERVICES = ("events", "iam", "lambda", "logs", "s3", "sts")


def serve() -> None:
    """Run each command from stdin, one JSON object per line, and print its exit status."""
    botocore.session.create_loader = cache(botocore.session.create_loader)
    for service in SERVICES:
        boto3.client(service, region_name="us-east-1")
    # Otherwise, a forked process would copy most of the memory when it ends.
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            run(**order)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def run(*, arguments: list[str], cwd: str, env: dict[str, str], output: str) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    with Path(output).open("wb") as written:
        for stream in (1, 2):
            os.dup2(written.fileno(), stream)
    sys.argv[1:] = arguments
    sys.exit(main())


if __name__ == "__main__":
    serve()
