"""Constants on which admin and the local cloud must agree; they do not import each other."""

from admin import account
from admin.desired import permissions
from localcloud.cloud import ADMINISTRATOR
from localcloud.functions.lambda_functions import REGION
from localcloud.iam import identities


def test_the_commands_use_the_local_clouds_administrator():
    assert ADMINISTRATOR.access_key_id == account.LOCAL_ACCESS_KEY_ID
    assert ADMINISTRATOR.secret_access_key == account.LOCAL_SECRET_ACCESS_KEY
    assert REGION == account.LOCAL_REGION


def test_both_have_the_same_size_limit_for_a_users_policies():
    assert identities.LARGEST_OF_A_USER == permissions.LARGEST_OF_A_USER
