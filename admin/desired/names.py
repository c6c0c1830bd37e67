"""Refuses names that AWS would not accept, before anything is created under other names.

Every name begins with the names of the app and the stage: immutable-backups-prod-server-web1.
"""

import re
from ipaddress import ip_address

from admin.config.reading import FUNCTIONS, SCHEDULES
from admin.stage import Stage, StageError
from chalicelib.policy.policy import Policy

# IAM user guide, "IAM name requirements and quotas"; Lambda's FunctionName; EventBridge's Name.
LONGEST_NAME = 64
# What Lambda accepts in a function's name; IAM, SNS, EventBridge and CloudWatch accept more.
STAGE_NAME = re.compile("[A-Za-z0-9_-]+")
# S3 user guide, "General purpose bucket naming rules"; Settings has checked characters and length.
RESERVED_BEGINNINGS = ("xn--", "sthree-", "amzn-s3-demo-")
RESERVED_ENDINGS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def refuse_names(policy: Policy, stage: Stage) -> None:
    """Raise StageError for a name of this stage, or of a server in it, that AWS would not accept.

    The sentence names what to shorten, and by how much.
    """
    _check_stage(stage)
    for bucket in (stage.settings.incoming_bucket, stage.settings.vault_bucket):
        _check_bucket(bucket)
    _check_servers(policy, stage)


def _check_stage(stage: Stage) -> None:
    if not STAGE_NAME.fullmatch(stage.name):
        raise StageError(
            f'"{stage.name}" cannot be the name of a stage, because Lambda accepts only letters, '
            "digits, - and _ in the names of functions; rename it in .chalice/config.json"
        )
    names = {
        "user": stage.server_user(None),
        "drill's user": stage.drill_user,
        **{f"function {function}": stage.function_name(function) for function in FUNCTIONS},
        **{f"schedule for {function}": stage.schedule_of(function) for function in SCHEDULES},
    }
    what, longest = max(names.items(), key=lambda item: len(item[1]))
    if (excess := len(longest) - LONGEST_NAME) > 0:
        raise StageError(
            f'the stage "{stage.name}" makes the name of its {what} {len(longest)} characters '
            f"long, but AWS accepts {LONGEST_NAME}; shorten the stage's name by {excess}"
        )


def _check_bucket(bucket: str) -> None:
    reason = None
    if ".." in bucket:
        reason = "has two dots in a row"
    elif _is_an_address(bucket):
        reason = "looks like an IP address"
    elif bucket.startswith(RESERVED_BEGINNINGS) or bucket.endswith(RESERVED_ENDINGS):
        reason = "begins or ends with a string that S3 reserves"
    if reason:
        raise StageError(
            f"S3 accepts no bucket named {bucket}, which {reason}; choose another in "
            ".chalice/config.json"
        )


def _is_an_address(bucket: str) -> bool:
    try:
        ip_address(bucket)
    except ValueError:
        return False
    return True


def _check_servers(policy: Policy, stage: Stage) -> None:
    names: dict[str, str] = {}
    for server in policy.servers:
        user = stage.server_user(server)
        if (excess := len(user) - LONGEST_NAME) > 0:
            raise StageError(
                f'the server "{server}" would get the IAM user {user}, which has {len(user)} '
                f"characters, but IAM accepts {LONGEST_NAME}; shorten the server's name in "
                f"policy.toml by {excess}"
            )
        # IAM does not distinguish names by case.
        if other := names.get(server.casefold()):
            raise StageError(
                f'the servers "{other}" and "{server}" would have the same IAM user, because IAM '
                "ignores case; rename one of them in policy.toml"
            )
        names[server.casefold()] = server
