from datetime import timedelta

import pytest
from moto.sts.models import sts_backends

from localcloud.iam.callers import Credentials
from localcloud.iam.identities import corrected_identities
from localcloud.s3.events import Requester, requester
from tests.localcloud.authorized_moto import (
    ADMINISTRATOR,
    allow,
    deny,
    document,
    is_allowed,
    keys_of,
    refusal,
)


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("s3", "list_buckets", "InvalidAccessKeyId"),
        ("iam", "list_users", "InvalidClientTokenId"),
    ],
)
def test_an_unknown_key_is_denied(gate, service, call, code):
    unknown = Credentials(access_key_id="AKIA" + "Q" * 16, secret_access_key="secret")
    assert refusal(getattr(gate.client(service, unknown), call)) == (403, code)


def test_a_deactivated_key_is_unknown(gate):
    web1 = gate.user(allow("s3:*"))
    gate.client("iam").update_access_key(
        UserName="web1", AccessKeyId=web1.access_key_id, Status="Inactive"
    )
    assert refusal(gate.client("s3", web1).list_buckets) == (403, "InvalidAccessKeyId")


def test_a_role_needs_its_session_token(gate):
    promoter = gate.role(allow("s3:*"))
    stolen = Credentials(
        access_key_id=promoter.access_key_id, secret_access_key=promoter.secret_access_key
    )
    assert is_allowed(gate.client("s3", promoter).list_buckets)
    assert refusal(gate.client("s3", stolen).list_buckets) == (400, "InvalidToken")


def test_an_expired_session_is_unknown(gate):
    promoter = gate.role(allow("s3:*"))
    (session,) = sts_backends["123456789012"]["aws"].assumed_roles
    session.expiration -= timedelta(days=1)
    assert refusal(gate.client("s3", promoter).list_buckets) == (403, "InvalidAccessKeyId")


def test_a_session_policy_is_not_supported(gate):
    gate.role(allow("s3:*"))
    session = gate.client("sts").assume_role(
        RoleArn="arn:aws:iam::123456789012:role/promoter",
        RoleSessionName="less",
        Policy=document(allow("s3:GetObject")),
    )
    s3 = gate.client("s3", keys_of(session["Credentials"]))
    assert refusal(s3.list_buckets) == (501, "NotImplemented")


def test_policies_of_groups_and_attached_policies_count(gate):
    iam, web1 = gate.client("iam"), gate.user()
    s3 = gate.client("s3", web1)
    assert not is_allowed(s3.put_object, Bucket="backups1", Key="a")
    iam.create_group(GroupName="servers")
    iam.put_group_policy(
        GroupName="servers",
        PolicyName="put",
        PolicyDocument=document(allow("s3:PutObject", "backups1/*")),
    )
    iam.add_user_to_group(GroupName="servers", UserName="web1")
    assert is_allowed(s3.put_object, Bucket="backups1", Key="a")
    managed = iam.create_policy(PolicyName="get", PolicyDocument=document(allow("s3:GetObject")))
    assert not is_allowed(s3.get_object, Bucket="backups1", Key="a")
    iam.attach_user_policy(UserName="web1", PolicyArn=managed["Policy"]["Arn"])
    assert is_allowed(s3.get_object, Bucket="backups1", Key="a")
    iam.create_policy_version(
        PolicyArn=managed["Policy"]["Arn"],
        PolicyDocument=document(allow("s3:ListBucket")),
        SetAsDefault=True,
    )
    assert not is_allowed(s3.get_object, Bucket="backups1", Key="a")


def test_a_role_without_its_policy_cannot_do_anything(gate):
    promoter = gate.client("s3", gate.role(allow("s3:PutObject", "backups2/*")))
    assert is_allowed(promoter.put_object, Bucket="backups2", Key="a")
    gate.client("iam").delete_role_policy(RoleName="promoter", PolicyName="own")
    assert not is_allowed(promoter.put_object, Bucket="backups2", Key="a")


def test_events_can_name_the_sender_of_the_request(gate):
    web1, promoter = gate.user(allow("s3:*")), gate.role(allow("s3:*"))
    gate.senders.clear()
    for credentials in (ADMINISTRATOR, web1, promoter):
        gate.client("s3", credentials).list_buckets()
    administrator, user, session = (sender.principal_id for sender in gate.senders)
    assert administrator.startswith("AWS:AIDA")
    assert (user.startswith("AWS:AIDA"), user.endswith(":web1")) == (True, True)
    assert (session.startswith("AWS:AROA"), session.endswith(":run")) == (True, True)
    assert {sender.source_ip for sender in gate.senders} == {"127.0.0.1"}
    assert requester.get() == Requester()


def test_the_user_id_of_every_caller_is_what_sts_returns(gate):
    """As AWS documents GetCallerIdentity: its UserId is the condition key aws:userid."""
    callers = (ADMINISTRATOR, gate.user(allow("s3:*")), gate.role(allow("s3:*")))
    for credentials in callers:
        with corrected_identities(administrator=ADMINISTRATOR):
            only = gate.client("sts", credentials).get_caller_identity()["UserId"]
        others = {"StringNotEquals": {"aws:userid": only}}
        denial = deny("s3:ListBucket", "backups1", Principal="*", Condition=others)
        gate.client("s3").put_bucket_policy(Bucket="backups1", Policy=document(denial))
        for caller in callers:
            listing = gate.client("s3", caller).list_objects_v2
            assert is_allowed(listing, Bucket="backups1") is (caller is credentials)
