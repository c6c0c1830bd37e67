from typing import Any

import pytest

from localcloud.iam.evaluation import Effect, Request, evaluate
from localcloud.iam.operators import UnsupportedPolicy

WEB1 = "arn:aws:iam::123456789012:user/web1"
PROMOTER = "arn:aws:iam::123456789012:role/promoter"
ROOT = "arn:aws:iam::123456789012:root"
STRANGER = "arn:aws:iam::999999999999:user/stranger"
VAULT = "arn:aws:s3:::backups2/*"
SLOT = "arn:aws:s3:::backups2/2026-11-23.tar.gz.gpg"

ALLOW, DENIED, NO = Effect.ALLOW, Effect.EXPLICIT_DENY, Effect.IMPLICIT_DENY


def statement(effect="Allow", action="s3:PutObject", resource=VAULT, **more):
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def policy(*statements, **more):
    return {"Version": "2012-10-17", "Statement": [*statements], **more}


def without(element, **more):
    return {k: v for k, v in statement(**more).items() if k != element}


def ask(action="s3:PutObject", resource=SLOT, principal=WEB1, **context):
    return Request(principal=principal, action=action, resource=resource, context=context)


def allowed_if(condition):
    return policy(statement(Condition=condition))


def denied_if(condition):
    return policy(statement(), statement("Deny", Condition=condition))


def given(**context):
    names = {
        "none_match": "s3:if-none-match",
        "creates": "s3:ObjectCreationOperation",
        "storage": "s3:x-amz-storage-class",
        "encryption": "s3:x-amz-server-side-encryption",
        "source": "s3:x-amz-copy-source",
        "days": "s3:object-lock-remaining-retention-days",
        "tls": "aws:SecureTransport",
        "who": "aws:PrincipalArn",
        "prefix": "s3:prefix",
    }
    return Request(
        principal=WEB1,
        action="s3:PutObject",
        resource=SLOT,
        context={names[name]: value for name, value in context.items()},
    )


NOT_STANDARD = {"StringNotEquals": {"s3:x-amz-storage-class": "STANDARD"}}
NOT_STANDARD_IF_GIVEN = {**NOT_STANDARD, "Null": {"s3:x-amz-storage-class": "false"}}
UNCONDITIONAL = {
    "StringNotLike": {"s3:if-none-match": "?*"},
    "BoolIfExists": {"s3:ObjectCreationOperation": "true"},
}
WITH_A_VALUE = {"StringLike": {"s3:if-none-match": "?*"}}
OTHER_ENCRYPTION = {
    "StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"},
    "Null": {"s3:x-amz-server-side-encryption": "false"},
}


@pytest.mark.parametrize(
    ("identity", "request_", "effect"),
    [
        # Actions and resources
        pytest.param(policy(statement(action="s3:GetObject")), ask(), NO, id="something else"),
        pytest.param(policy(statement()), ask(), ALLOW, id="allowed"),
        pytest.param(
            policy(statement(action="S3:putobject")), ask(), ALLOW, id="action in any case"
        ),
        pytest.param(policy(statement(action="s3:Put*")), ask(), ALLOW, id="action with *"),
        pytest.param(policy(statement(action="s3:PutObjec?")), ask(), ALLOW, id="action with ?"),
        pytest.param(policy(statement(action="s3:PutObject?")), ask(), NO, id="? is one character"),
        pytest.param(policy(statement(action="s3:Put")), ask(), NO, id="not a prefix"),
        pytest.param(
            policy(statement(action=["s3:GetObject", "s3:PutObject"])), ask(), ALLOW, id="in a list"
        ),
        pytest.param(
            policy(without("Action", NotAction="s3:GetObject")),
            ask(),
            ALLOW,
            id="NotAction, another",
        ),
        pytest.param(
            policy(without("Action", NotAction=["s3:Put*"])), ask(), NO, id="NotAction, this one"
        ),
        pytest.param(
            policy(statement(resource="arn:aws:s3:::Backups2/*")), ask(), NO, id="resource's case"
        ),
        pytest.param(
            policy(statement(resource="arn:aws:s3:::backups2")), ask(), NO, id="bucket, not objects"
        ),
        pytest.param(
            policy(statement()),
            ask(resource="arn:aws:s3:::backups2/a/b\nc"),
            ALLOW,
            id="* crosses slashes and lines",
        ),
        pytest.param(
            policy(statement(resource="arn:aws:s3:::backups?/2026-11-23.tar.gz.gpg")),
            ask(),
            ALLOW,
            id="resource with ?",
        ),
        pytest.param(
            policy(statement(resource="arn:aws:s3:::backups2/2026-11-23xtarxgzxgpg")),
            ask(),
            NO,
            id="a dot is a dot",
        ),
        pytest.param(
            policy(without("Resource", NotResource=VAULT)), ask(), NO, id="NotResource, this one"
        ),
        pytest.param(
            policy(without("Resource", NotResource="arn:aws:s3:::backups1/*")),
            ask(),
            ALLOW,
            id="NotResource, another",
        ),
        pytest.param(
            policy(statement(resource="arn:aws:s3:::backups2/${*}")),
            ask(resource="arn:aws:s3:::backups2/*"),
            ALLOW,
            id="a literal star",
        ),
        pytest.param(
            policy(statement(resource="arn:aws:s3:::backups2/${*}")), ask(), NO, id="no wildcard"
        ),
        pytest.param(
            policy(statement(), statement("Deny", action="*", resource="*")),
            ask(),
            DENIED,
            id="a Deny wins",
        ),
        pytest.param(
            policy(statement(), statement("Deny", action="s3:GetObject")),
            ask(),
            ALLOW,
            id="a Deny of something else",
        ),
        pytest.param({**policy(), "Statement": statement()}, ask(), ALLOW, id="a single statement"),
        # Null and Bool
        pytest.param(
            allowed_if({"Null": {"s3:if-none-match": "false"}}),
            given(none_match="*"),
            ALLOW,
            id="Null false, there",
        ),
        pytest.param(
            allowed_if({"Null": {"s3:if-none-match": "false"}}),
            given(),
            NO,
            id="Null false, absent",
        ),
        pytest.param(
            allowed_if({"Null": {"s3:if-none-match": True}}), given(), ALLOW, id="Null as a boolean"
        ),
        pytest.param(
            allowed_if({"Null": {"S3:If-None-Match": "false"}}),
            given(none_match="*"),
            ALLOW,
            id="keys in any case",
        ),
        pytest.param(
            denied_if({"Bool": {"aws:SecureTransport": "false"}}),
            given(tls="true"),
            ALLOW,
            id="over TLS",
        ),
        pytest.param(
            denied_if({"Bool": {"aws:SecureTransport": False}}),
            given(tls="false"),
            DENIED,
            id="without TLS",
        ),
        pytest.param(
            denied_if({"Bool": {"aws:SecureTransport": "false"}}), given(), ALLOW, id="Bool, absent"
        ),
        pytest.param(
            denied_if({"BoolIfExists": {"aws:SecureTransport": "false"}}),
            given(),
            DENIED,
            id="BoolIfExists, absent",
        ),
        # What keeps the vault: no write without the condition
        pytest.param(denied_if(UNCONDITIONAL), given(creates="true"), DENIED, id="plain put"),
        pytest.param(
            denied_if(UNCONDITIONAL), given(creates="true", none_match="*"), ALLOW, id="guarded put"
        ),
        pytest.param(denied_if(UNCONDITIONAL), given(creates="false"), ALLOW, id="multipart step"),
        pytest.param(
            denied_if(UNCONDITIONAL),
            given(creates="true", none_match=""),
            DENIED,
            id="put with an empty condition",
        ),
        pytest.param(
            denied_if(UNCONDITIONAL), given(none_match=""), DENIED, id="nobody says what it is"
        ),
        pytest.param(
            denied_if(UNCONDITIONAL),
            given(none_match="*"),
            ALLOW,
            id="nobody says what it is, guarded",
        ),
        pytest.param(allowed_if(WITH_A_VALUE), given(none_match="*"), ALLOW, id="a star fits ?*"),
        pytest.param(allowed_if(WITH_A_VALUE), given(none_match=""), NO, id="nothing fits no ?*"),
        pytest.param(allowed_if(WITH_A_VALUE), given(), NO, id="what is absent fits no ?*"),
        pytest.param(
            allowed_if({"Null": {"s3:if-none-match": "false"}}),
            given(none_match=""),
            ALLOW,
            id="what is empty is not absent",
        ),
        # ... and none under somebody's key
        pytest.param(denied_if(OTHER_ENCRYPTION), given(), ALLOW, id="no encryption is named"),
        pytest.param(
            denied_if(OTHER_ENCRYPTION), given(encryption="AES256"), ALLOW, id="S3's own keys"
        ),
        pytest.param(
            denied_if(OTHER_ENCRYPTION), given(encryption="aws:kms"), DENIED, id="a KMS key"
        ),
        # Negated operators match what is not there
        pytest.param(denied_if(NOT_STANDARD), given(), DENIED, id="StringNotEquals, absent"),
        pytest.param(
            denied_if({"StringNotEqualsIfExists": NOT_STANDARD["StringNotEquals"]}),
            given(),
            DENIED,
            id="StringNotEqualsIfExists, absent",
        ),
        pytest.param(
            denied_if(NOT_STANDARD_IF_GIVEN), given(), ALLOW, id="paired with Null, absent"
        ),
        pytest.param(
            denied_if(NOT_STANDARD_IF_GIVEN), given(storage="GLACIER"), DENIED, id="paired, other"
        ),
        pytest.param(
            denied_if(NOT_STANDARD_IF_GIVEN), given(storage="STANDARD"), ALLOW, id="paired, equal"
        ),
        pytest.param(
            denied_if({"StringNotEquals": {"s3:x-amz-storage-class": ["STANDARD", "GLACIER_IR"]}}),
            given(storage="GLACIER_IR"),
            ALLOW,
            id="StringNotEquals: none of them",
        ),
        pytest.param(
            denied_if({"ArnNotEquals": {"aws:PrincipalArn": PROMOTER}}),
            given(),
            DENIED,
            id="ArnNotEquals, absent",
        ),
        pytest.param(
            denied_if({"NumericNotEquals": {"s3:object-lock-remaining-retention-days": 7}}),
            given(),
            DENIED,
            id="NumericNotEquals, absent",
        ),
        # Strings
        pytest.param(
            allowed_if({"StringEquals": {"s3:x-amz-storage-class": "standard"}}),
            given(storage="STANDARD"),
            NO,
            id="StringEquals minds the case",
        ),
        pytest.param(
            allowed_if({"StringEqualsIgnoreCase": {"s3:x-amz-storage-class": "standard"}}),
            given(storage="STANDARD"),
            ALLOW,
            id="StringEqualsIgnoreCase",
        ),
        pytest.param(
            denied_if({"StringNotEqualsIgnoreCase": {"s3:x-amz-storage-class": "standard"}}),
            given(storage="STANDARD"),
            ALLOW,
            id="StringNotEqualsIgnoreCase",
        ),
        pytest.param(
            allowed_if({"StringEquals": {"s3:if-none-match": "*"}}),
            given(none_match="anything"),
            NO,
            id="StringEquals knows no wildcards",
        ),
        pytest.param(
            allowed_if({"StringEquals": {"s3:if-none-match": "${*}"}}),
            given(none_match="*"),
            ALLOW,
            id="StringEquals knows literals",
        ),
        pytest.param(
            allowed_if({"StringLike": {"s3:x-amz-copy-source": "backups1/*"}}),
            given(source="backups1/sql.gz.gpg"),
            ALLOW,
            id="StringLike",
        ),
        pytest.param(
            allowed_if({"StringLike": {"s3:x-amz-copy-source": "backups1/*"}}),
            given(),
            NO,
            id="StringLike, absent",
        ),
        pytest.param(
            allowed_if({"StringLikeIfExists": {"s3:x-amz-copy-source": "backups1/*"}}),
            given(),
            ALLOW,
            id="StringLikeIfExists, absent",
        ),
        pytest.param(
            allowed_if({"StringLikeIfExists": {"s3:x-amz-copy-source": "backups1/*"}}),
            given(source="elsewhere/sql.gz.gpg"),
            NO,
            id="StringLikeIfExists, other",
        ),
        pytest.param(
            denied_if({"StringNotLike": {"s3:x-amz-copy-source": "backups1/*"}}),
            given(source="elsewhere/sql.gz.gpg"),
            DENIED,
            id="StringNotLike, other",
        ),
        pytest.param(
            allowed_if({"StringEquals": {"s3:prefix": ""}}),
            given(prefix=""),
            ALLOW,
            id="empty value",
        ),
        # ARNs
        pytest.param(
            allowed_if({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/web?"}}),
            given(who=WEB1),
            ALLOW,
            id="ArnLike",
        ),
        pytest.param(
            allowed_if({"ArnLike": {"aws:PrincipalArn": "arn:aws:*::123456789012:user/web2"}}),
            given(who=WEB1),
            NO,
            id="ArnLike, other",
        ),
        pytest.param(
            denied_if({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/promoter"}}),
            given(who=PROMOTER),
            ALLOW,
            id="ArnNotLike, equal",
        ),
        pytest.param(
            allowed_if({"ArnEquals": {"aws:PrincipalArn": [PROMOTER, WEB1]}}),
            given(who=WEB1),
            ALLOW,
            id="ArnEquals: any of them",
        ),
        # Numbers
        pytest.param(
            denied_if({"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "30"}}),
            given(days="31"),
            DENIED,
            id="NumericGreaterThan, more",
        ),
        pytest.param(
            denied_if({"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": 30}}),
            given(days="30"),
            ALLOW,
            id="NumericGreaterThan, equal",
        ),
        pytest.param(
            allowed_if({"NumericLessThan": {"s3:object-lock-remaining-retention-days": 30}}),
            given(days="9"),
            ALLOW,
            id="NumericLessThan compares numbers",
        ),
        pytest.param(
            allowed_if({"NumericLessThanEquals": {"s3:object-lock-remaining-retention-days": 9}}),
            given(days="9"),
            ALLOW,
            id="NumericLessThanEquals",
        ),
        pytest.param(
            allowed_if(
                {"NumericGreaterThanEquals": {"s3:object-lock-remaining-retention-days": 9}}
            ),
            given(days="8"),
            NO,
            id="NumericGreaterThanEquals, less",
        ),
        pytest.param(
            allowed_if({"NumericEquals": {"s3:object-lock-remaining-retention-days": [7, 8]}}),
            given(days="8.0"),
            ALLOW,
            id="NumericEquals: any of them",
        ),
        # Several conditions
        pytest.param(
            allowed_if(
                {"Bool": {"aws:SecureTransport": "true", "s3:ObjectCreationOperation": "false"}}
            ),
            given(tls="true", creates="true"),
            NO,
            id="all keys must hold",
        ),
        pytest.param(
            allowed_if(
                {"Bool": {"aws:SecureTransport": "true"}, "Null": {"s3:if-none-match": "false"}}
            ),
            given(tls="true"),
            NO,
            id="all operators must hold",
        ),
    ],
)
def test_a_principal_may_do_what_its_own_policies_allow(identity, request_, effect):
    assert evaluate(request_, identity=[identity]) is effect


def test_all_its_policies_count():
    reading, denying = policy(statement(action="s3:GetObject")), policy(statement("Deny"))
    assert evaluate(ask(), identity=[]) is NO
    assert evaluate(ask(), identity=[reading, OWN]) is ALLOW
    assert evaluate(ask(), identity=[OWN, denying]) is DENIED


OWN = policy(statement())


@pytest.mark.parametrize(
    ("principal", "named", "allows_itself", "effect"),
    [
        pytest.param(WEB1, WEB1, False, ALLOW, id="named, in the bucket's account"),
        pytest.param(WEB1, PROMOTER, False, NO, id="somebody else is named"),
        pytest.param(WEB1, [PROMOTER, WEB1], False, ALLOW, id="one of several"),
        pytest.param(WEB1, "*", False, ALLOW, id="everybody"),
        pytest.param(PROMOTER, PROMOTER, False, ALLOW, id="a role"),
        pytest.param(WEB1, ROOT, False, NO, id="its account, which leaves it to its policies"),
        pytest.param(WEB1, ROOT, True, ALLOW, id="its account and its policies"),
        pytest.param(WEB1, PROMOTER, True, ALLOW, id="its policies alone"),
        pytest.param(STRANGER, STRANGER, False, NO, id="another account: the bucket alone"),
        pytest.param(STRANGER, PROMOTER, True, NO, id="another account: its policies alone"),
        pytest.param(STRANGER, STRANGER, True, ALLOW, id="another account: both"),
        pytest.param(STRANGER, "999999999999", True, ALLOW, id="another account, by its number"),
        pytest.param(STRANGER, "*", True, ALLOW, id="another account: everybody"),
        pytest.param(STRANGER, ROOT, True, NO, id="another account: only ours is named"),
    ],
)
def test_the_bucket_may_allow_too_and_must_for_another_account(
    principal, named, allows_itself, effect
):
    bucket = policy(statement(Principal={"AWS": named}))
    judged = evaluate(
        ask(principal=principal),
        identity=[OWN] if allows_itself else [],
        resource=bucket,
        owner="123456789012",
    )
    assert judged is effect


@pytest.mark.parametrize(
    ("named", "effect"),
    [
        ("*", DENIED),
        ({"AWS": "*"}, DENIED),
        ({"AWS": WEB1}, DENIED),
        ({"AWS": ROOT}, DENIED),
        ({"AWS": [PROMOTER, "123456789012"]}, DENIED),
        ({"AWS": PROMOTER}, ALLOW),
        ({"AWS": "999999999999"}, ALLOW),
        ({"Service": "s3.amazonaws.com"}, ALLOW),
    ],
)
def test_the_bucket_may_deny_what_its_policies_allow(named, effect):
    bucket = policy(statement("Deny", Principal=named))
    assert evaluate(ask(), identity=[OWN], resource=bucket) is effect


@pytest.mark.parametrize(
    "condition",
    [
        {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        {"ForAnyValue:StringEquals": {"s3:prefix": "a"}},
        {"StringEqual": {"s3:prefix": "a"}},
        {"NullIfExists": {"s3:prefix": "true"}},
        {"BoolNot": {"aws:SecureTransport": "true"}},
        {"NumericNotLessThan": {"s3:object-lock-remaining-retention-days": "1"}},
        {"NumericEquals": {"s3:object-lock-remaining-retention-days": "many"}},
        {"Null": {"s3:if-none-match": "yes"}},
        {"Bool": {"aws:SecureTransport": "1"}},
        {"ArnLike": {"aws:PrincipalArn": "*"}},
        {"Null": {"s3:if-nonematch": "true"}},
        {"StringEquals": {"s3:prefix": "${aws:username}"}},
        {"StringLike": {"s3:prefix": "home/${aws:username}/*"}},
        {"StringNotEquals": {"s3:x-amz-storage-class": []}},
    ],
    ids=str,
)
@pytest.mark.parametrize("action", ["s3:PutObject", "s3:GetObject"])
def test_a_condition_that_is_not_understood_is_refused_wherever_it_stands(condition, action):
    with pytest.raises(UnsupportedPolicy):
        evaluate(ask(action), identity=[denied_if(condition)])


@pytest.mark.parametrize(
    "broken",
    [
        {"Statement": [statement()]},
        {"Version": "2008-10-17", "Statement": [statement()]},
        {"Version": "2012-10-17"},
        policy(statement(), Statements=[]),
        policy(without("Action")),
        policy(without("Resource")),
        policy(without("Effect")),
        policy(statement(NotAction="s3:GetObject")),
        policy(statement(NotResource=VAULT)),
        policy(statement(Conditions={})),
        policy(statement(effect="deny")),
        policy(statement(Principal="*")),
        policy(statement(action=[])),
        policy(statement(resource="arn:aws:s3:::backups2/${aws:username}/*")),
    ],
    ids=str,
)
def test_a_policy_that_is_not_understood_is_refused(broken: Any):
    with pytest.raises(UnsupportedPolicy):
        evaluate(ask("sns:Publish", "*"), identity=[OWN, broken])


@pytest.mark.parametrize(
    "broken",
    [
        policy(statement()),
        policy({**statement("Deny"), "NotPrincipal": {"AWS": WEB1}}),
        policy(statement(Principal="everybody")),
        policy(statement(Principal={"AWS": "arn:aws:iam::123456789012:role/*"})),
        policy(statement(Principal={"AWS": "web1"})),
        policy(statement(Principal={"CanonicalUser": "79a59df900b949e5"})),
    ],
    ids=str,
)
def test_a_bucket_policy_names_its_principals_plainly(broken: Any):
    with pytest.raises(UnsupportedPolicy):
        evaluate(ask(), identity=[OWN], resource=broken)
