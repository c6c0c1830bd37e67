"""Accounts that already have resources: what `setup` prints for each, and what resolves it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from moto.s3.models import s3_backends

from tests.support.existing_account import PROMOTE, ExistingAccount
from tests.support.project import POLICY
from tests.support.world import DAILY

KEEPING = replace(POLICY, keep_days=400)
SERVER = "immutable-backups-dev-server"
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the account contains, what `setup` prints, and what resolves it: a fix, or options.

    `status` is the exit status of the first run: 0 if the account is adopted unchanged.
    """

    prepare: Callable[[ExistingAccount], object]
    says: tuple[str, ...]
    mend: Callable[[ExistingAccount], object] = lambda _: None
    options: tuple[str, ...] = ()
    status: int = 2


def long_policy(place: ExistingAccount) -> None:
    """A policy of less than 20 KB, which S3 accepts, but not together with our statements."""
    arn = f"arn:aws:s3:::{place.incoming}/{'x' * 900}"
    place.put_statement(
        place.incoming, Action="s3:GetObject", Resource=[f"{arn}{number}" for number in range(21)]
    )


def _notify(place: ExistingAccount) -> None:
    queue = place.account.client("sqs").create_queue(QueueName="scanner")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:123456789012:{queue.rsplit('/', 1)[1]}"
    place.s3.put_bucket_notification_configuration(
        Bucket=place.incoming,
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:Put"]}]
        },
    )


def _notify_what_is_gone(place: ExistingAccount) -> None:
    sqs, sns = place.account.client("sqs"), place.account.client("sns")
    queue = sqs.create_queue(QueueName="gone")["QueueUrl"]
    s3 = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sns:Publish"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**s3, "Resource": "*"}]})
    topic = sns.create_topic(Name="gone", Attributes={"Policy": policy})["TopicArn"]
    place.s3.put_bucket_notification_configuration(
        Bucket=place.incoming,
        NotificationConfiguration={
            "QueueConfigurations": [
                {"QueueArn": topic.replace(":sns:", ":sqs:"), "Events": ["s3:ObjectRemoved:*"]}
            ],
            "TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectTagging:*"]}],
        },
    )
    sqs.delete_queue(QueueUrl=queue)
    sns.delete_topic(TopicArn=topic)


def _encrypt_with_kms(place: ExistingAccount) -> None:
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KMS_KEY}
    for bucket in (place.incoming, place.vault):
        place.s3.put_bucket_encryption(
            Bucket=bucket,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": default}]
            },
        )


def _require_kms(place: ExistingAccount) -> None:
    _encrypt_with_kms(place)
    place.put_statement(
        place.incoming,
        Action="s3:PutObject",
        Resource=f"arn:aws:s3:::{place.incoming}/*",
        Condition={"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
    )


def expire(place: ExistingAccount, prefix: str = "") -> None:
    rule = {
        "ID": "tidy up",
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "Expiration": {"Days": 3},
    }
    place.s3.put_bucket_lifecycle_configuration(
        Bucket=place.vault, LifecycleConfiguration={"Rules": [rule]}
    )


def replicate(place: ExistingAccount) -> None:
    place.s3.put_bucket_versioning(
        Bucket=place.vault, VersioningConfiguration={"Status": "Enabled"}
    )
    place.s3.put_bucket_replication(
        Bucket=place.vault,
        ReplicationConfiguration={
            "Role": "arn:aws:iam::123456789012:role/replication",
            "Rules": [{"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::copies"}}],
        },
    )


def _delete_policy(bucket: str) -> Callable[[ExistingAccount], None]:
    return lambda place: place.s3.delete_bucket_policy(Bucket=getattr(place, bucket))


def _hide_all(place: ExistingAccount) -> None:
    place.upload_nightly(place.incoming, versions=4)
    place.s3.delete_object(Bucket=place.incoming, Key=DAILY)
    place.date(place.incoming, DAILY, newest=timedelta(days=20))


def _shut_the_door_for_good(place: ExistingAccount) -> None:
    place.set_up("--apply", "--yes")
    policy = json.loads(place.s3.get_bucket_policy(Bucket=place.vault)["Policy"])
    policy["Statement"].append(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutBucketPolicy",
            "Resource": f"arn:aws:s3:::{place.vault}",
        }
    )
    place.s3.put_bucket_policy(Bucket=place.vault, Policy=json.dumps(policy))


def _name_a_deleted_user(place: ExistingAccount) -> None:
    user = place.iam.create_user(UserName="gone")["User"]["Arn"]
    place.put_statement(
        place.vault,
        Principal={"AWS": user},
        Action="s3:*",
        Resource=f"arn:aws:s3:::{place.vault}/*",
    )
    place.iam.delete_user(UserName="gone")


def _make_user(place: ExistingAccount) -> None:
    place.iam.create_user(UserName=SERVER)
    place.iam.put_user_policy(
        UserName=SERVER,
        PolicyName="everything",
        PolicyDocument=json.dumps(EVERYTHING),
    )


def _forget_user(place: ExistingAccount) -> None:
    place.iam.delete_user_policy(UserName=SERVER, PolicyName="everything")


def bound_role(place: ExistingAccount) -> None:
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}],
    }
    boundary = place.iam.create_policy(PolicyName="boundary", PolicyDocument=json.dumps(document))[
        "Policy"
    ]["Arn"]
    place.make_role(PermissionsBoundary=boundary)


CASES = {
    "versions are the history of incoming": Case(
        prepare=lambda place: place.upload_nightly(place.incoming, versions=60),
        says=(
            "would expire 51 versions (51.0 KB) at once, and 9 versions (9.0 KB) later",
            "add --allow-shorter",
        ),
        options=("--allow-shorter",),
    ),
    "all uploads lie under delete markers": Case(
        prepare=_hide_all,
        says=("would expire 4 versions (4.0 KB) at once, and 0 versions (0 bytes) later",),
        options=("--allow-shorter",),
    ),
    "versions are the history of the vault": Case(
        prepare=lambda place: (
            place.use(KEEPING),
            place.upload_nightly(place.vault, versions=60, key="home.tar"),
        ),
        says=(
            "would expire 59 versions (59.0 KB) at once, and 1 version (1.0 KB) later",
            "60 versions (60.0 KB) in {vault} were stored without a default lock",
            "with --lock-existing, which also locks them\n",
            "    or accept it with --accept {vault}:not-locked",
        ),
        options=("--allow-shorter", "--accept", "{vault}:not-locked"),
    ),
    "a vault with Object Lock, but without a default": Case(
        prepare=lambda place: (
            place.upload_nightly(place.vault, versions=2, key="home.tar"),
            place.lock(place.vault),
        ),
        says=("2 versions (2.0 KB) in {vault} were stored without a default lock",),
        options=("--lock-existing",),
    ),
    "a scanner is notified of uploads": Case(
        prepare=_notify,
        says=("{incoming} already sends s3:ObjectCreated:Put to arn:aws:sqs:",),
        mend=lambda place: place.s3.put_bucket_notification_configuration(
            Bucket=place.incoming, NotificationConfiguration={}
        ),
    ),
    "what was notified is gone": Case(
        prepare=_notify_what_is_gone,
        says=(
            "{incoming} notifies arn:aws:sqs:us-east-1:123456789012:gone, which does not exist",
            "{incoming} notifies arn:aws:sns:us-east-1:123456789012:gone, which does not exist",
        ),
        mend=lambda place: place.s3.put_bucket_notification_configuration(
            Bucket=place.incoming, NotificationConfiguration={}
        ),
    ),
    "a KMS key by default": Case(prepare=_encrypt_with_kms, says=("was: aws:kms",), status=0),
    "uploads must name a KMS key": Case(
        prepare=_require_kms,
        says=(
            "Statement Theirs in the bucket policy of {incoming} would deny an upload",
            f"s3:PutObject on {{incoming}}/{DAILY} by arn:aws:iam::123456789012:user/{SERVER}",
        ),
        mend=_delete_policy("incoming"),
    ),
    "a Deny on the vault's prefix": Case(
        prepare=lambda place: (
            place.use(replace(POLICY, servers=("web1", "db1"))),
            place.put_statement(
                place.vault,
                Action="s3:Put*",
                Resource=f"arn:aws:s3:::{place.vault}/db1/*",
                Condition={"StringNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/ci"}},
            ),
        ),
        says=("would deny a promotion: s3:PutObject on {vault}/db1/",),
        mend=_delete_policy("vault"),
    ),
    "a company's rule against changing encryption": Case(
        prepare=lambda place: place.put_statement(
            place.vault,
            Action="s3:PutEncryptionConfiguration",
            Resource=f"arn:aws:s3:::{place.vault}",
        ),
        # S3 encrypts new buckets with its own key; buckets of the local cloud report no encryption.
        says=("would deny a step of this setup: s3:PutEncryptionConfiguration on {vault} by",),
        mend=_delete_policy("vault"),
    ),
    "a company's rule against changing bucket policies": Case(
        prepare=_shut_the_door_for_good,
        says=("would deny a step of this setup: s3:PutBucketPolicy on {vault} by",),
        mend=_delete_policy("vault"),
    ),
    "somebody else can read the vault": Case(
        prepare=lambda place: place.put_statement(
            place.vault,
            Effect="Allow",
            Principal={"AWS": "arn:aws:iam::210987654321:root"},
            Action="s3:GetObject",
            Resource=f"arn:aws:s3:::{place.vault}/*",
        ),
        says=("{vault} allows arn:aws:iam::210987654321:root s3:GetObject",),
        options=("--accept", "{vault}:Theirs"),
    ),
    "everybody can read incoming": Case(
        prepare=lambda place: place.put_statement(
            place.incoming,
            Effect="Allow",
            Action="s3:GetObject",
            Resource=f"arn:aws:s3:::{place.incoming}/*",
        ),
        says=(
            "{incoming} allows * s3:GetObject",
            "The bucket policy of {incoming} is public; once public access is blocked, S3 reject",
        ),
        mend=_delete_policy("incoming"),
    ),
    "a policy names a deleted user": Case(
        prepare=_name_a_deleted_user,
        says=("{vault} names AIDA",),
        mend=_delete_policy("vault"),
    ),
    "requesters pay": Case(
        prepare=lambda place: place.s3.put_bucket_request_payment(
            Bucket=place.incoming, RequestPaymentConfiguration={"Payer": "Requester"}
        ),
        says=(
            "{incoming} has Requester Pays enabled",
            "put-bucket-request-payment --bucket {incoming}",
        ),
        mend=lambda place: place.s3.put_bucket_request_payment(
            Bucket=place.incoming, RequestPaymentConfiguration={"Payer": "BucketOwner"}
        ),
    ),
    "the vault is replicated": Case(
        prepare=replicate,
        says=("{vault} is replicated to arn:aws:s3:::copies", "--accept {vault}:replication"),
        mend=lambda place: place.s3.delete_bucket_replication(Bucket=place.vault),
    ),
    "a lifecycle of three days": Case(
        prepare=expire,
        says=(
            "The lifecycle rule tidy up of {vault} expires objects after 3 days: it applies to eve",
            "accept it with --accept '{vault}:tidy up'",
        ),
        options=("--accept", "{vault}:tidy up"),
    ),
    "a lifecycle of last year's backups": Case(
        prepare=lambda place: expire(place, prefix="2025-"),
        says=("expires objects after 3 days: it applies to objects whose names begin with 2025-",),
        mend=lambda place: place.s3.delete_bucket_lifecycle(Bucket=place.vault),
    ),
    "an access control list grants rights to others": Case(
        prepare=lambda place: place.s3.put_bucket_acl(
            Bucket=place.incoming,
            AccessControlPolicy={
                "Owner": (own := place.s3.get_bucket_acl(Bucket=place.incoming))["Owner"],
                "Grants": [
                    *own["Grants"],
                    {
                        "Grantee": {
                            "Type": "Group",
                            "URI": "http://acs.amazonaws.com/groups/s3/LogDelivery",
                        },
                        "Permission": "WRITE",
                    },
                ],
            },
        ),
        says=(
            "The access control list of {incoming} grants rights to http://acs.amazonaws.com/grou",
        ),
        mend=lambda place: place.s3.put_bucket_acl(Bucket=place.incoming, ACL="private"),
    ),
    "a role of that name belongs to others": Case(
        prepare=lambda place: place.make_role(trusts={"Service": "ec2.amazonaws.com"}),
        says=(f"The role {PROMOTE} exists, but does not trust Lambda",),
        mend=lambda place: place.iam.delete_role(RoleName=PROMOTE),
    ),
    "a role that trusts Lambda, in a list": Case(
        prepare=lambda place: place.make_role(trusts={"Service": ["lambda.amazonaws.com"]}),
        says=("Done. ",),
        status=0,
    ),
    "a role of that name has more rights": Case(
        prepare=lambda place: (
            place.make_role(),
            place.iam.put_role_policy(
                RoleName=PROMOTE, PolicyName="everything", PolicyDocument=json.dumps(EVERYTHING)
            ),
        ),
        says=(f"The role {PROMOTE} exists with the policies everything, which the function would",),
        mend=lambda place: place.iam.delete_role_policy(RoleName=PROMOTE, PolicyName="everything"),
    ),
    "a role with a boundary": Case(
        prepare=bound_role,
        says=(f"The role {PROMOTE} has a permissions boundary", "can deny promotions"),
        mend=lambda place: place.iam.delete_role_permissions_boundary(RoleName=PROMOTE),
    ),
    "a server's user belongs to others": Case(
        prepare=_make_user,
        says=(
            f"The user {SERVER} exists and was not created by backups setup; it has the policy e",
        ),
        mend=_forget_user,
    ),
    "a function of that name belongs to others": Case(
        prepare=lambda place: place.make_function(),
        says=(
            f"The function {PROMOTE} exists and is a different program: index.handler in python3",
        ),
        mend=lambda place: place.account.client("lambda").delete_function(FunctionName=PROMOTE),
    ),
    "incoming locks uploads": Case(
        prepare=lambda place: (
            place.s3.put_bucket_versioning(
                Bucket=place.incoming, VersioningConfiguration={"Status": "Enabled"}
            ),
            place.lock(place.incoming, DefaultRetention={"Mode": "GOVERNANCE", "Days": 9}),
        ),
        says=("{incoming} locks every upload, so no promoted upload could be removed",),
        mend=lambda place: place.lock(place.incoming),
    ),
    "the vault is in another Region": Case(
        prepare=lambda place: (
            place.s3.delete_bucket(Bucket=place.vault),
            place.s3.create_bucket(
                Bucket=place.vault,
                CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
            ),
        ),
        says=("{vault} is in eu-west-1, not in us-east-1; set its region with --region",),
        mend=lambda place: (
            place.s3.delete_bucket(Bucket=place.vault),
            place.s3.create_bucket(Bucket=place.vault),
        ),
        status=3,
    ),
    "the vault's name is taken": Case(
        prepare=lambda place: (
            place.s3.delete_bucket(Bucket=place.vault),
            s3_backends["210987654321"]["aws"].create_bucket(place.vault, "us-east-1"),
        ),
        says=(
            "The bucket {vault} belongs to somebody else, or you are not allowed to see it",
            "config.json, or pass a profile of its account with --vault-profile",
        ),
        mend=lambda place: (
            s3_backends["210987654321"]["aws"].delete_bucket(place.vault),
            place.s3.create_bucket(Bucket=place.vault),
        ),
        status=3,
    ),
    "roles are created by somebody else": Case(
        prepare=lambda place: place.configure(
            lambda stage: stage.update(manage_iam_role=False, iam_role_arn="arn:aws:iam::1:role/x")
        ),
        says=("promote has a role of your own; remove manage_iam_role and iam_role_arn",),
        mend=lambda place: place.configure(
            lambda stage: [stage.pop(key) for key in ("manage_iam_role", "iam_role_arn")]
        ),
    ),
    "a server with a long name": Case(
        prepare=lambda place: place.use(
            replace(POLICY, servers=("db-primary-01.prod.eu-central-1.example.org",))
        ),
        says=("has 72 characters, but IAM accepts 64",),
        mend=lambda place: place.use(replace(POLICY, servers=("db-primary-01",))),
    ),
    "the vault's versions are suspended": Case(
        prepare=lambda place: place.s3.put_bucket_versioning(
            Bucket=place.vault, VersioningConfiguration={"Status": "Suspended"}
        ),
        says=("{vault}: keep every version", "was: Suspended"),
        status=0,
    ),
}
