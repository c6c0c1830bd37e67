"""The bundle that `chalice deploy` uploads."""

import io
import zipfile
from pathlib import Path

from moto.awslambda.models import lambda_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from localcloud.functions.lambda_functions import REGION


def unpack_bundle(directory: Path) -> None:
    """Unpack the bundle that is deployed in the running local cloud into `directory`."""
    function = lambda_backends[DEFAULT_ACCOUNT_ID][REGION].get_function(
        "immutable-backups-dev-promote"
    )
    zipfile.ZipFile(io.BytesIO(function.code_bytes)).extractall(directory)
