"""IAM's policy evaluation, for the supported part of the policy language."""

from typing import Any

import pytest

from localcloud.iam.evaluation import Effect, Request, evaluate
from localcloud.iam.operators import UnsupportedPolicy

WEB1 = "arn:aws:iam::123456789012:user/web1"
PROMOTER = "arn:aws:iam::123456789012:role/promoter"
ROOT = "arn:aws:iam::123456789012:root"
STRANGER = "arn:aws:iam::999999999999:user/stranger"
BUCKET = "arn:aws:s3:::backups2"
VAULT = f"{BUCKET}/*"
SLOT = f"{BUCKET}/2026-11-23.tar.gz.gpg"

NONE_MATCH = "s3:if-none-match"
CREATES = "s3:ObjectCreationOperation"
STORAGE = "s3:x-amz-storage-class"
ENCRYPTION = "s3:x-amz-server-side-encryption"
SOURCE = "s3:x-amz-copy-source"
DAYS = "s3:object-lock-remaining-retention-days"
TLS = "aws:SecureTransport"
PRINCIPAL = "aws:PrincipalArn"
PREFIX = "s3:prefix"

ALLOW, DENIED, NO = Effect.ALLOW, Effect.EXPLICIT_DENY, Effect.IMPLICIT_DENY


def statement(effect="Allow", action="s3:PutObject", resource=VAULT, **more):
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def policy(*statements, **more):
    return {"Version": "2012-10-17", "Statement": [*statements], **more}


def without(element, **more):
    return {k: v for k, v in statement(**more).items() if k != element}


def request_for(action="s3:PutObject", resource=SLOT, principal=WEB1, context=None):
    return Request(principal=principal, action=action, resource=resource, context=context or {})


def allowed_if(**condition):
    return policy(statement(Condition=condition))


def denied_if(**condition):
    return policy(statement(), statement("Deny", Condition=condition))


OWN = policy(statement())

ACTIONS_AND_RESOURCES = {
    "allowed": (statement(), SLOT, ALLOW),
    "another action": (statement(action="s3:GetObject"), SLOT, NO),
    "action in any case": (statement(action="S3:putobject"), SLOT, ALLOW),
    "action with *": (statement(action="s3:Put*"), SLOT, ALLOW),
    "action with ?": (statement(action="s3:PutObjec?"), SLOT, ALLOW),
    "? is one character": (statement(action="s3:PutObject?"), SLOT, NO),
    "not a prefix": (statement(action="s3:Put"), SLOT, NO),
    "in a list": (statement(action=["s3:GetObject", "s3:PutObject"]), SLOT, ALLOW),
    "NotAction, another": (without("Action", NotAction="s3:GetObject"), SLOT, ALLOW),
    "NotAction, this one": (without("Action", NotAction=["s3:Put*"]), SLOT, NO),
    "resource's case": (statement(resource="arn:aws:s3:::Backups2/*"), SLOT, NO),
    "bucket, not objects": (statement(resource=BUCKET), SLOT, NO),
    "* matches slashes and newlines": (statement(), f"{BUCKET}/a/b\nc", ALLOW),
    "resource with ?": (
        statement(resource="arn:aws:s3:::backups?/2026-11-23.tar.gz.gpg"),
        SLOT,
        ALLOW,
    ),
    "a dot is a dot": (statement(resource=f"{BUCKET}/2026-11-23xtarxgzxgpg"), SLOT, NO),
    "NotResource, this one": (without("Resource", NotResource=VAULT), SLOT, NO),
    "NotResource, another": (
        without("Resource", NotResource="arn:aws:s3:::backups1/*"),
        SLOT,
        ALLOW,
    ),
    "a literal star": (statement(resource=BUCKET + "/${*}"), f"{BUCKET}/*", ALLOW),
    "a literal star is no wildcard": (statement(resource=BUCKET + "/${*}"), SLOT, NO),
}


@pytest.mark.parametrize(
    ("own", "resource", "effect"), ACTIONS_AND_RESOURCES.values(), ids=ACTIONS_AND_RESOURCES
)
def test_actions_and_resources(own, resource, effect):
    assert evaluate(request_for(resource=resource), identity=[policy(own)]) is effect


@pytest.mark.parametrize(
    ("own", "effect"),
    [
        pytest.param(
            policy(statement(), statement("Deny", action="*", resource="*")),
            DENIED,
            id="a Deny wins",
        ),
        pytest.param(
            policy(statement(), statement("Deny", action="s3:GetObject")),
            ALLOW,
            id="a Deny of another action",
        ),
        pytest.param({**policy(), "Statement": statement()}, ALLOW, id="a single statement"),
    ],
)
def test_statements(own, effect):
    assert evaluate(request_for(), identity=[own]) is effect


PRESENT = {"Null": {NONE_MATCH: "false"}}
WITH_A_VALUE = {"StringLike": {NONE_MATCH: "?*"}}
UNGUARDED = {"StringNotLike": {NONE_MATCH: "?*"}, "BoolIfExists": {CREATES: "true"}}
OTHER_ENCRYPTION = {
    "StringNotEquals": {ENCRYPTION: "AES256"},
    "Null": {ENCRYPTION: "false"},
}
NOT_STANDARD = {"StringNotEquals": {STORAGE: "STANDARD"}}
NOT_STANDARD_IF_PRESENT = {**NOT_STANDARD, "Null": {STORAGE: "false"}}
FROM_INCOMING = {SOURCE: "backups1/*"}

CONDITIONS = {
    # Null and Bool
    "Null false, present": (allowed_if(**PRESENT), {NONE_MATCH: "*"}, ALLOW),
    "Null false, absent": (allowed_if(**PRESENT), {}, NO),
    "Null false, empty": (allowed_if(**PRESENT), {NONE_MATCH: ""}, ALLOW),
    "Null as a boolean": (allowed_if(Null={NONE_MATCH: True}), {}, ALLOW),
    "keys in any case": (
        allowed_if(Null={"S3:If-None-Match": "false"}),
        {NONE_MATCH: "*"},
        ALLOW,
    ),
    "over TLS": (denied_if(Bool={TLS: "false"}), {TLS: "true"}, ALLOW),
    "without TLS": (denied_if(Bool={TLS: False}), {TLS: "false"}, DENIED),
    "Bool, absent": (denied_if(Bool={TLS: "false"}), {}, ALLOW),
    "BoolIfExists, absent": (denied_if(BoolIfExists={TLS: "false"}), {}, DENIED),
    # The vault's guard: no write without the condition
    "plain put": (denied_if(**UNGUARDED), {CREATES: "true"}, DENIED),
    "guarded put": (denied_if(**UNGUARDED), {CREATES: "true", NONE_MATCH: "*"}, ALLOW),
    "put with an empty condition": (
        denied_if(**UNGUARDED),
        {CREATES: "true", NONE_MATCH: ""},
        DENIED,
    ),
    "multipart step": (denied_if(**UNGUARDED), {CREATES: "false"}, ALLOW),
    "unknown operation": (denied_if(**UNGUARDED), {NONE_MATCH: ""}, DENIED),
    "unknown operation, guarded": (denied_if(**UNGUARDED), {NONE_MATCH: "*"}, ALLOW),
    "a star matches ?*": (allowed_if(**WITH_A_VALUE), {NONE_MATCH: "*"}, ALLOW),
    "an empty value does not match ?*": (allowed_if(**WITH_A_VALUE), {NONE_MATCH: ""}, NO),
    "an absent key does not match ?*": (allowed_if(**WITH_A_VALUE), {}, NO),
    # The vault's guard: no write under another key
    "no encryption": (denied_if(**OTHER_ENCRYPTION), {}, ALLOW),
    "S3's own keys": (denied_if(**OTHER_ENCRYPTION), {ENCRYPTION: "AES256"}, ALLOW),
    "a KMS key": (denied_if(**OTHER_ENCRYPTION), {ENCRYPTION: "aws:kms"}, DENIED),
    # Negated operators match absent keys
    "StringNotEquals, absent": (denied_if(**NOT_STANDARD), {}, DENIED),
    "StringNotEqualsIfExists, absent": (
        denied_if(StringNotEqualsIfExists={STORAGE: "STANDARD"}),
        {},
        DENIED,
    ),
    "with Null, absent": (denied_if(**NOT_STANDARD_IF_PRESENT), {}, ALLOW),
    "with Null, other": (denied_if(**NOT_STANDARD_IF_PRESENT), {STORAGE: "GLACIER"}, DENIED),
    "with Null, equal": (denied_if(**NOT_STANDARD_IF_PRESENT), {STORAGE: "STANDARD"}, ALLOW),
    "StringNotEquals: none of them": (
        denied_if(StringNotEquals={STORAGE: ["STANDARD", "GLACIER_IR"]}),
        {STORAGE: "GLACIER_IR"},
        ALLOW,
    ),
    "ArnNotEquals, absent": (denied_if(ArnNotEquals={PRINCIPAL: PROMOTER}), {}, DENIED),
    "NumericNotEquals, absent": (denied_if(NumericNotEquals={DAYS: 7}), {}, DENIED),
    # Strings
    "StringEquals is case-sensitive": (
        allowed_if(StringEquals={STORAGE: "standard"}),
        {STORAGE: "STANDARD"},
        NO,
    ),
    "StringEqualsIgnoreCase": (
        allowed_if(StringEqualsIgnoreCase={STORAGE: "standard"}),
        {STORAGE: "STANDARD"},
        ALLOW,
    ),
    "StringNotEqualsIgnoreCase": (
        denied_if(StringNotEqualsIgnoreCase={STORAGE: "standard"}),
        {STORAGE: "STANDARD"},
        ALLOW,
    ),
    "StringEquals has no wildcards": (
        allowed_if(StringEquals={NONE_MATCH: "*"}),
        {NONE_MATCH: "anything"},
        NO,
    ),
    "StringEquals has literals": (
        allowed_if(StringEquals={NONE_MATCH: "${*}"}),
        {NONE_MATCH: "*"},
        ALLOW,
    ),
    "StringLike": (allowed_if(StringLike=FROM_INCOMING), {SOURCE: "backups1/sql.gz.gpg"}, ALLOW),
    "StringLike, absent": (allowed_if(StringLike=FROM_INCOMING), {}, NO),
    "StringLikeIfExists, absent": (allowed_if(StringLikeIfExists=FROM_INCOMING), {}, ALLOW),
    "StringLikeIfExists, other": (
        allowed_if(StringLikeIfExists=FROM_INCOMING),
        {SOURCE: "elsewhere/sql.gz.gpg"},
        NO,
    ),
    "StringNotLike, other": (
        denied_if(StringNotLike=FROM_INCOMING),
        {SOURCE: "elsewhere/sql.gz.gpg"},
        DENIED,
    ),
    "empty value": (allowed_if(StringEquals={PREFIX: ""}), {PREFIX: ""}, ALLOW),
    # ARNs
    "ArnLike": (
        allowed_if(ArnLike={PRINCIPAL: "arn:aws:iam::*:user/web?"}),
        {PRINCIPAL: WEB1},
        ALLOW,
    ),
    "ArnLike, other": (
        allowed_if(ArnLike={PRINCIPAL: "arn:aws:*::123456789012:user/web2"}),
        {PRINCIPAL: WEB1},
        NO,
    ),
    "ArnNotLike, equal": (
        denied_if(ArnNotLike={PRINCIPAL: "arn:aws:iam::*:role/promoter"}),
        {PRINCIPAL: PROMOTER},
        ALLOW,
    ),
    "ArnEquals: any of them": (
        allowed_if(ArnEquals={PRINCIPAL: [PROMOTER, WEB1]}),
        {PRINCIPAL: WEB1},
        ALLOW,
    ),
    # Numbers
    "NumericGreaterThan, more": (
        denied_if(NumericGreaterThan={DAYS: "30"}),
        {DAYS: "31"},
        DENIED,
    ),
    "NumericGreaterThan, equal": (denied_if(NumericGreaterThan={DAYS: 30}), {DAYS: "30"}, ALLOW),
    "NumericLessThan compares numbers": (
        allowed_if(NumericLessThan={DAYS: 30}),
        {DAYS: "9"},
        ALLOW,
    ),
    "NumericLessThanEquals": (allowed_if(NumericLessThanEquals={DAYS: 9}), {DAYS: "9"}, ALLOW),
    "NumericGreaterThanEquals, less": (
        allowed_if(NumericGreaterThanEquals={DAYS: 9}),
        {DAYS: "8"},
        NO,
    ),
    "NumericEquals: any of them": (
        allowed_if(NumericEquals={DAYS: [7, 8]}),
        {DAYS: "8.0"},
        ALLOW,
    ),
    # Several conditions
    "all keys must hold": (
        allowed_if(Bool={TLS: "true", CREATES: "false"}),
        {TLS: "true", CREATES: "true"},
        NO,
    ),
    "all operators must hold": (allowed_if(Bool={TLS: "true"}, **PRESENT), {TLS: "true"}, NO),
}


@pytest.mark.parametrize(("own", "context", "effect"), CONDITIONS.values(), ids=CONDITIONS)
def test_conditions(own, context, effect):
    assert evaluate(request_for(context=context), identity=[own]) is effect


def test_all_policies_of_a_principal_count():
    reading, denying = policy(statement(action="s3:GetObject")), policy(statement("Deny"))
    assert evaluate(request_for(), identity=[]) is NO
    assert evaluate(request_for(), identity=[reading, OWN]) is ALLOW
    assert evaluate(request_for(), identity=[OWN, denying]) is DENIED


@pytest.mark.parametrize(
    ("principal", "named", "allows_itself", "effect"),
    [
        pytest.param(WEB1, WEB1, False, ALLOW, id="named, in the bucket's account"),
        pytest.param(WEB1, PROMOTER, False, NO, id="another principal is named"),
        pytest.param(WEB1, [PROMOTER, WEB1], False, ALLOW, id="named among others"),
        pytest.param(WEB1, "*", False, ALLOW, id="everyone"),
        pytest.param(PROMOTER, PROMOTER, False, ALLOW, id="a role"),
        pytest.param(WEB1, ROOT, False, NO, id="its account only"),
        pytest.param(WEB1, ROOT, True, ALLOW, id="its account and its policies"),
        pytest.param(WEB1, PROMOTER, True, ALLOW, id="its policies alone"),
        pytest.param(STRANGER, STRANGER, False, NO, id="another account: the bucket alone"),
        pytest.param(STRANGER, PROMOTER, True, NO, id="another account: its policies alone"),
        pytest.param(STRANGER, STRANGER, True, ALLOW, id="another account: both"),
        pytest.param(STRANGER, "999999999999", True, ALLOW, id="another account, by its number"),
        pytest.param(STRANGER, "*", True, ALLOW, id="another account: everyone"),
        pytest.param(STRANGER, ROOT, True, NO, id="another account: only ours is named"),
    ],
)
def test_the_bucket_policy_can_allow_and_must_for_another_account(
    principal, named, allows_itself, effect
):
    bucket = policy(statement(Principal={"AWS": named}))
    effective = evaluate(
        request_for(principal=principal),
        identity=[OWN] if allows_itself else [],
        resource=bucket,
        owner="123456789012",
    )
    assert effective is effect


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
def test_the_bucket_policy_can_deny_what_own_policies_allow(named, effect):
    bucket = policy(statement("Deny", Principal=named))
    assert evaluate(request_for(), identity=[OWN], resource=bucket) is effect


@pytest.mark.parametrize(
    ("boundary", "effect"),
    [
        (policy(statement()), ALLOW),
        (policy(statement(action="s3:*")), ALLOW),
        (policy(statement(action="s3:GetObject")), NO),
        (policy(statement(), statement("Deny")), DENIED),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "policies",
    [
        pytest.param({"identity": [OWN]}, id="by its own policy"),
        pytest.param(
            {"identity": [], "resource": policy(statement(Principal={"AWS": PROMOTER}))},
            id="by the bucket policy",
        ),
    ],
)
def test_a_boundary_limits_what_is_allowed_to_a_role(policies, boundary, effect):
    request = request_for(principal=PROMOTER)
    assert evaluate(request, **policies, boundary=boundary) is effect


@pytest.mark.parametrize(
    ("principal", "named", "effect"),
    [
        pytest.param(WEB1, WEB1, ALLOW, id="a user by its ARN"),
        pytest.param(WEB1, "*", ALLOW, id="everybody: a user"),
        pytest.param(PROMOTER, "*", ALLOW, id="everybody: a role"),
        pytest.param(PROMOTER, PROMOTER, NO, id="a role by its ARN"),
        pytest.param(WEB1, ROOT, NO, id="the account"),
    ],
)
def test_a_boundary_limits_what_a_bucket_policy_allows_to_a_role_by_its_arn(
    principal, named, effect
):
    """The boundary does not limit what the policy allows to others, unless it denies it."""
    bucket = policy(statement(Principal={"AWS": named}))
    reads = statement(action="s3:GetObject")
    request = request_for(principal=principal)
    for boundary, expected in (
        (policy(reads), effect),
        (policy(reads, statement("Deny")), DENIED),
    ):
        actual = evaluate(request, identity=[], boundary=boundary, resource=bucket)
        assert actual is expected


@pytest.mark.parametrize(
    ("effect", "excepted", "expected"),
    [
        pytest.param("Allow", PROMOTER, ALLOW, id="allowed to all but another"),
        pytest.param("Allow", WEB1, NO, id="allowed to all but this one"),
        pytest.param("Allow", ROOT, NO, id="allowed to all but its account"),
        pytest.param("Deny", PROMOTER, DENIED, id="denied to all but another"),
        pytest.param("Deny", WEB1, DENIED, id="denied to all but this one, its account too"),
        pytest.param("Deny", [WEB1, ROOT], ALLOW, id="denied to all but this one"),
    ],
)
def test_a_bucket_policy_can_except_principals(effect, excepted, expected):
    bucket = policy({**statement(effect), "NotPrincipal": {"AWS": excepted}})
    own = [OWN] if effect == "Deny" else []
    assert evaluate(request_for(), identity=own, resource=bucket) is expected


def test_a_boundary_allows_nothing_itself():
    assert evaluate(request_for(principal=PROMOTER), identity=[], boundary=OWN) is NO


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
def test_an_unsupported_condition_is_refused_in_any_statement(condition, action):
    with pytest.raises(UnsupportedPolicy):
        evaluate(request_for(action), identity=[denied_if(**condition)])


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
def test_an_unsupported_policy_is_refused(broken: Any):
    with pytest.raises(UnsupportedPolicy):
        evaluate(request_for("sns:Publish", "*"), identity=[OWN, broken])


@pytest.mark.parametrize(
    "broken",
    [
        policy(statement()),
        policy(statement(Principal="*", NotPrincipal={"AWS": WEB1})),
        policy(statement(NotPrincipal="everybody")),
        policy(statement(Principal="everybody")),
        policy(statement(Principal={"AWS": "arn:aws:iam::123456789012:role/*"})),
        policy(statement(Principal={"AWS": "web1"})),
        policy(statement(Principal={"CanonicalUser": "79a59df900b949e5"})),
    ],
    ids=str,
)
def test_an_unsupported_principal_is_refused(broken: Any):
    with pytest.raises(UnsupportedPolicy):
        evaluate(request_for(), identity=[OWN], resource=broken)
