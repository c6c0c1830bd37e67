"""The topic of the sirens, for tests that set up only the vault, whose notification needs it."""

from admin.account import Account
from admin.desired.sirens import sirens_topic
from admin.setup import resources
from tests.support.project import STAGE


def make_sirens_topic(account: Account) -> None:
    topic = sirens_topic(STAGE, account=account.id, region=account.region)
    resources.write(account, topic)
