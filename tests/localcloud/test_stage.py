"""The demo joins admin and the local cloud, which do not import each other, and must agree."""

from admin import account
from admin.desired import permissions
from localcloud.cloud import ADMINISTRATOR
from localcloud.functions.lambda_functions import REGION
from localcloud.iam import identities


def test_the_commands_sign_in_to_the_local_cloud_as_its_administrator():
    assert ADMINISTRATOR.access_key_id == account.LOCAL_ACCESS_KEY_ID
    assert ADMINISTRATOR.secret_access_key == account.LOCAL_SECRET_ACCESS_KEY
    assert REGION == account.LOCAL_REGION


def test_both_know_the_same_limit_of_a_user_s_policies():
    assert identities.LARGEST_OF_A_USER == permissions.LARGEST_OF_A_USER
