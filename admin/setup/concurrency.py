"""Suggests a reserved concurrency, so that a flood of uploads cannot use up the account's."""

from botocore.exceptions import ClientError

from admin.account import DENIAL_CODES
from admin.stage import CONFIG, as_chalice_reads
from admin.target import Target

# Plenty of concurrent promotions for servers that upload once an hour.
RESERVED = 10
# Lambda refuses a reservation that leaves less to all other functions (API reference,
# PutFunctionConcurrency).
LEAST_UNRESERVED = 100


def suggestion(target: Target) -> str | None:
    """A line for config.json; None if it is there already, or the account's concurrency is too low.

    Only a suggestion, because Chalice removes a reservation that is not in its configuration.
    """
    if as_chalice_reads(target.stage, "promote").reserved_concurrency is not None:
        return None
    try:
        limit = target.account.client("lambda").get_account_settings()["AccountLimit"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in DENIAL_CODES:
            raise
        return None
    if limit["UnreservedConcurrentExecutions"] - RESERVED < LEAST_UNRESERVED:
        return None
    return (
        f'Suggested: "reserved_concurrency": {RESERVED} under lambda_functions.promote of stage '
        f"{target.stage.name} in {CONFIG}. A flood of events then uses {RESERVED} of this "
        f"account's {limit['ConcurrentExecutions']:,} concurrent executions, not all."
    )
