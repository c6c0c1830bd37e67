"""Whether a flood of uploads could take every run that the account has, and what prevents it."""

from botocore.exceptions import ClientError

from admin.account import DENIED, Account
from admin.stage import CONFIG, Stage, as_chalice_reads

# So many promotions at a time are plenty, of servers that upload once an hour.
RESERVED = 10
# Lambda refuses a reservation that leaves fewer to everybody else (API reference,
# PutFunctionConcurrency).
LEAST_UNRESERVED = 100


def suggestion(account: Account, stage: Stage) -> str | None:
    """What to write into config.json; None where it is written, or the account has too few runs.

    Only a suggestion, because Chalice removes a reservation that its configuration does not have.
    """
    if as_chalice_reads(stage, "promote").reserved_concurrency is not None:
        return None
    try:
        limit = account.client("lambda").get_account_settings()["AccountLimit"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in DENIED:
            raise
        return None
    if limit["UnreservedConcurrentExecutions"] - RESERVED < LEAST_UNRESERVED:
        return None
    return (
        f'Suggested: "reserved_concurrency": {RESERVED} under lambda_functions.promote of stage '
        f"{stage.name} in {CONFIG}. A flood of events then takes {RESERVED} of the "
        f"{limit['ConcurrentExecutions']:,} runs that this account may have at a time, not all."
    )
