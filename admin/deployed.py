"""What `chalice deploy` has brought into the account, compared with what it would bring now."""

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from admin.account import Account, AccountError, absent_if
from admin.finding import Remedies, Report
from admin.permissions import document, function_policies
from admin.principals import DENIAL
from admin.stage import Stage
from chalicelib.policy import Policy

# What CopyObject has to know: an older boto3 refuses the call, in the function, every time.
NEEDED = ("IfNoneMatch", "AnnotationDirective", "CopySourceIfMatch")
S3_MODEL = "botocore/data/s3/2006-03-01/service-2.json.gz"
# Who may become the function, and nobody else.
TRUST = document(
    {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
)


def check_function(
    report: Report,
    account: Account,
    stage: Stage,
    policy: Policy,
    remedies: Remedies,
    *,
    function: str,
) -> None:
    """Everything about one function: its code, its environment, its rights, what calls it."""
    name = stage.function_name(function)
    with report.seeing(f"the function {name}"):
        found = absent_if(
            "ResourceNotFoundException",
            lambda: account.client("lambda").get_function(FunctionName=name),
        )
        if found is None:
            report.find(
                f"{name} is not deployed",
                why="Uploads stay in incoming, where the server can overwrite them.",
                remedy=remedies.deploy(),
            )
            return
        configuration = found["Configuration"]
        _check_environment(report, stage, configuration, remedies=remedies)
        _check_bundle(report, stage, found["Code"]["Location"], name=name, remedies=remedies)
        role = configuration["Role"].rsplit("/", 1)[1]
        with report.seeing(f"the role {role}"):
            wanted = function_policies(policy, stage)[function]
            _check_role(report, account, role=role, wanted=wanted, remedies=remedies)
        with report.seeing(f"who may invoke {name}"):
            _check_callers(report, account, stage, name=name, remedies=remedies)
        if function == "promote":
            with report.seeing(f"the notifications of {stage.settings.incoming_bucket}"):
                arn = configuration["FunctionArn"]
                _check_notification(report, account, stage, arn=arn, remedies=remedies)


def _check_environment(
    report: Report, stage: Stage, configuration: dict[str, Any], *, remedies: Remedies
) -> None:
    live = configuration.get("Environment", {}).get("Variables", {})
    for variable in sorted(set(stage.environment) | set(live)):
        if live.get(variable) != stage.environment.get(variable):
            report.find(
                f"{configuration['FunctionName']} was deployed with {variable}="
                f"{live.get(variable, '')}, and .chalice/config.json says "
                f"{stage.environment.get(variable, 'nothing')}",
                why="It works on what it was deployed with.",
                remedy=remedies.deploy(),
            )


def _check_bundle(
    report: Report, stage: Stage, location: str, *, name: str, remedies: Remedies
) -> None:
    try:
        with urlopen(location, timeout=60) as answer:  # noqa: S310 - the address is AWS's answer
            bundle = zipfile.ZipFile(io.BytesIO(answer.read()))
    except OSError as error:
        raise AccountError(f"the code of {name} cannot be fetched: {error}") from None
    there = {member: bundle.read(member) for member in bundle.namelist() if _is_ours(member)}
    here = dict(_sources(stage.project))
    if different := sorted(
        member for member in set(here) | set(there) if here.get(member) != there.get(member)
    ):
        report.find(
            f"The code of {name} is not that of this clone: {', '.join(different)}",
            why="What you read and test here is not what runs there.",
            remedy=remedies.deploy(),
        )
    missing = [argument for argument in NEEDED if argument not in _copy_arguments(bundle)]
    if missing:
        report.find(
            f"The boto3 in the bundle of {name} does not know {', '.join(missing)} of CopyObject",
            why="It refuses the conditional copy, and no upload is promoted.",
            remedy=remedies.deploy(),
        )


def _is_ours(member: str) -> bool:
    return member == "app.py" or (
        member.startswith("chalicelib/") and not member.endswith((".pyc", "/"))
    )


def _sources(project: Path) -> Iterator[tuple[str, bytes]]:
    for path in (project / "app.py", *sorted((project / "chalicelib").rglob("*"))):
        member = path.relative_to(project).as_posix()
        if path.is_file() and _is_ours(member):
            yield member, path.read_bytes()


def _copy_arguments(bundle: zipfile.ZipFile) -> set[str]:
    """What the bundle's own boto3 can say of a CopyObject; without a boto3: nothing."""
    if S3_MODEL not in bundle.namelist():
        return set()
    model = json.loads(gzip.decompress(bundle.read(S3_MODEL)))
    return set(model["shapes"]["CopyObjectRequest"]["members"])


def _check_role(
    report: Report, account: Account, *, role: str, wanted: dict[str, Any], remedies: Remedies
) -> None:
    iam = account.client("iam")
    why = "What the function may do is said in .chalice/, and nowhere else."
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    inline = {
        name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in names
    }
    # Chalice names the policy after the role; what else is there, it leaves there.
    if inline.pop(role, None) != wanted:
        report.find(
            f"{role} has not the policy that your policy says", why=why, remedy=remedies.deploy()
        )
    for name in inline.keys() - {DENIAL}:
        report.find(
            f"{role} has the policy {name}, which is not ours",
            why=why,
            remedy=remedies.aws("iam", "delete-role-policy", role_name=role, policy_name=name),
        )
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        report.find(
            f"{role} has the policy {attached['PolicyArn']}, which is not ours",
            why=why,
            remedy=remedies.aws(
                "iam", "detach-role-policy", role_name=role, policy_arn=attached["PolicyArn"]
            ),
        )
    trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    if not all(_is_for_lambda(one) for one in (trust if isinstance(trust, list) else [trust])):
        report.find(
            f"Others than Lambda may become {role}: {json.dumps(trust)}",
            why="Whoever is the promoter can fill slots that are still free, with anything.",
            remedy=remedies.aws(
                "iam", "update-assume-role-policy", role_name=role, policy_document=TRUST
            ),
        )


def _is_for_lambda(statement: dict[str, Any]) -> bool:
    return statement.get("Principal") == {"Service": "lambda.amazonaws.com"}


def _check_callers(
    report: Report, account: Account, stage: Stage, *, name: str, remedies: Remedies
) -> None:
    answer = absent_if(
        "ResourceNotFoundException",
        lambda: account.client("lambda").get_policy(FunctionName=name),
    )
    statements = json.loads(answer["Policy"])["Statement"] if answer else []
    ours = [one for one in statements if _is_for_incoming(one, stage)]
    if not ours:
        report.find(
            f"S3 may not invoke {name} for {stage.settings.incoming_bucket}",
            why="Uploads stay in incoming, where the server can overwrite them.",
            remedy=remedies.deploy(),
        )
    for statement in statements:
        if statement not in ours:
            report.find(
                f"{json.dumps(statement.get('Principal'))} may invoke {name}",
                why="It is for S3 alone to say what was uploaded.",
                remedy=remedies.aws(
                    "lambda",
                    "remove-permission",
                    function_name=name,
                    statement_id=statement["Sid"],
                ),
            )


def _is_for_incoming(statement: dict[str, Any], stage: Stage) -> bool:
    source = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn")
    return (
        statement.get("Principal") == {"Service": "s3.amazonaws.com"}
        and source == f"arn:aws:s3:::{stage.settings.incoming_bucket}"
    )


def _check_notification(
    report: Report, account: Account, stage: Stage, *, arn: str, remedies: Remedies
) -> None:
    bucket = stage.settings.incoming_bucket
    answer = absent_if(
        "NoSuchBucket",
        lambda: account.client("s3").get_bucket_notification_configuration(Bucket=bucket),
    )
    if answer is not None and not any(
        one["LambdaFunctionArn"] == arn
        and "s3:ObjectCreated:*" in one["Events"]
        and not one.get("Filter", {}).get("Key", {}).get("FilterRules")
        for one in answer.get("LambdaFunctionConfigurations", [])
    ):
        report.find(
            f"{bucket} does not tell the function of uploads",
            why="Uploads stay in incoming, where the server can overwrite them.",
            remedy=remedies.deploy(),
        )
