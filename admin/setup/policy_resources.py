"""Reads and writes managed IAM policies."""

import json
from typing import Any

from admin.account import Account, none_if
from admin.desired.requirement import Requirement

# IAM keeps no more versions (IAM user guide, "IAM quotas").
MOST_VERSIONS = 5


def read_managed_policy(account: Account, requirement: Requirement) -> Any:
    """The default version; None if the policy does not exist. Attachments are not compared."""
    arn, iam = requirement.resource, _iam(account, requirement)
    policy = none_if("NoSuchEntity", lambda: iam.get_policy(PolicyArn=arn))
    if policy is None:
        return None
    version = policy["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def write_managed_policy(account: Account, requirement: Requirement) -> None:
    """Create the policy, or a new default version of it."""
    arn, iam = requirement.resource, _iam(account, requirement)
    text = json.dumps(requirement.desired, separators=(",", ":"))
    if none_if("NoSuchEntity", lambda: iam.get_policy(PolicyArn=arn)) is None:
        iam.create_policy(PolicyName=arn.rpartition("/")[2], PolicyDocument=text)
        return
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    if len(versions) >= MOST_VERSIONS:
        others = (each for each in versions if not each["IsDefaultVersion"])
        oldest = min(others, key=lambda each: each["CreateDate"])
        iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=text, SetAsDefault=True)


def _iam(account: Account, requirement: Requirement) -> Any:
    """A client of the policy's account, which may be the vault's."""
    owner = requirement.resource.split(":")[4]
    accounts = (account, *account.other_accounts.values())
    [of_policy] = (each for each in accounts if each.id == owner)
    return of_policy.client("iam")
