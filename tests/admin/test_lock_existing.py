"""`setup --lock-existing`: backups older than the lock are locked as if it had existed then."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import admin.setup.command
from admin.account import Account
from admin.choices import SetupOptions
from admin.cli import cli
from admin.desired.door import whom_it_is_open_to
from admin.desired.permissions import statements
from admin.desired.requirement import Requirement
from admin.setup.plan import requirements_of
from admin.stage import read_stage
from admin.target import Target
from localcloud.clock import clock
from tests.support.past_the_door import past_the_door
from tests.support.sirens_topic import make_sirens_topic

VAULT = "backups2"
LOCKED = ("--lock-existing", "--apply", "--yes")
NOT_LOCKED = ("--accept", f"{VAULT}:not-locked", "--apply", "--yes")


def run(*arguments: str, typed: str = "") -> Any:
    return CliRunner().invoke(cli, ["setup", *arguments], input=typed)


class Vault:
    """A vault with backups that `setup` has not adopted yet."""

    def __init__(self, account: Account) -> None:
        self.s3 = account.client("s3")
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.s3.create_bucket(Bucket=VAULT, ObjectLockEnabledForBucket=True)

    def store(
        self, key: str, *, days_ago: int = 1, days: int | None = None, mode: str = "GOVERNANCE"
    ) -> str:
        """Store a version that is locked for this many days (None: not at all)."""
        stored = self.now - timedelta(days=days_ago)
        until = stored + timedelta(days=days or 0)
        lock = {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": until} if days else {}
        clock.stand_at(stored)
        version = self.s3.put_object(Bucket=VAULT, Key=key, Body=b"a backup", **lock)["VersionId"]
        clock.reset()
        return str(version)

    def hide(self, key: str) -> None:
        self.s3.delete_object(Bucket=VAULT, Key=key)

    def locks(self) -> list[tuple[str, str, int] | None]:
        """Each version's key, lock mode and lock days, in the order of names, newest first."""
        locks: list[tuple[str, str, int] | None] = []
        for version in self.s3.list_object_versions(Bucket=VAULT)["Versions"]:
            head = self.s3.head_object(
                Bucket=VAULT, Key=version["Key"], VersionId=version["VersionId"]
            )
            if until := head.get("ObjectLockRetainUntilDate"):
                after = until - version["LastModified"]
                assert after.seconds == 0
                locks.append((version["Key"], head["ObjectLockMode"], after.days))
            else:
                locks.append(None)
        return locks

    def is_closed(self) -> bool:
        policy = statements(json.loads(self.s3.get_bucket_policy(Bucket=VAULT)["Policy"]))
        return whom_it_is_open_to(policy) is None


@pytest.fixture
def vault(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """Only the vault is set up: the rest takes most of the time."""

    def only_the_vault_s(target: Target, options: SetupOptions) -> tuple[Requirement, ...]:
        return tuple(one for one in requirements_of(target, options) if one.resource == VAULT)

    monkeypatch.setattr(admin.setup.command, "requirements_of", only_the_vault_s)
    make_sirens_topic(account)
    yield Vault(account)
    clock.reset()


def test_every_version_is_locked_as_if_the_lock_had_been_there(vault: Vault) -> None:
    vault.store("a")
    vault.store("a", days_ago=2)
    vault.store("b", days_ago=29)
    vault.hide("b")
    vault.store("c", days=7)
    vault.store("d", days=30)
    vault.store("e", days=400)
    vault.store("f", days_ago=31)
    assert run(*NOT_LOCKED).exit_code == 0
    before = vault.locks()

    numbers = (
        "Versions in backups2: 7. Locked for 30 days after they were stored: 2. Not locked for "
        "that long: 4. Too old to need a lock: 1.\n"
    )
    looked = run("--lock-existing")
    assert numbers in looked.stdout
    assert "Nothing was locked; add --apply" in looked.stderr
    assert vault.locks() == before

    done = run(*LOCKED)
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith(f"{numbers}Done. Versions locked: 4.\n")
    thirty = ("GOVERNANCE", 30)
    assert vault.locks() == [
        *(("a", *thirty), ("a", *thirty), ("b", *thirty), ("c", *thirty), ("d", *thirty)),
        ("e", "GOVERNANCE", 400),
        None,
    ]
    assert vault.is_closed()

    again = run(*LOCKED)
    assert (again.exit_code, vault.is_closed()) == (0, True)
    assert again.stdout.endswith("Not locked for that long: 0. Too old to need a lock: 1.\n")


def test_one_command_adopts_a_vault_and_locks_its_backups(vault: Vault) -> None:
    vault.store("a")
    assert run("--lock-days", "90", *LOCKED).exit_code == 0
    assert vault.locks() == [("a", "GOVERNANCE", 90)]
    assert vault.is_closed()
    # The same lock as new backups have.
    with past_the_door(vault.s3):
        vault.s3.put_object(Bucket=VAULT, Key="b", Body=b"a backup")
    assert ("b", "GOVERNANCE", 90) in vault.locks()


def test_a_stricter_default_is_kept_and_what_is_stored_is_locked_by_it(vault: Vault) -> None:
    vault.store("a")
    vault.s3.put_object_lock_configuration(
        Bucket=VAULT,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 90}},
        },
    )
    assert run(*LOCKED).exit_code == 0
    assert vault.locks() == [("a", "GOVERNANCE", 90)]


def test_a_vault_that_lost_its_default_lock_gets_it_back_at_once(vault: Vault) -> None:
    assert run("--apply", "--yes").exit_code == 0
    with past_the_door(vault.s3):
        vault.s3.put_object_lock_configuration(
            Bucket=VAULT, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
        )
        vault.store("a")
    assert run("--apply", "--yes").exit_code == 0
    assert vault.s3.get_object_lock_configuration(Bucket=VAULT)["ObjectLockConfiguration"]["Rule"]


def test_a_changed_lock_names_the_command_for_stored_backups(vault: Vault) -> None:
    for number in range(30):
        vault.store("a", days_ago=number)
    sentence = (
        "This locks new backups only. Versions in backups2 that keep their present locks, if any: "
        "30. Until the newest of them are a day old, the alarm unlocked goes off. "
        "To lock them, too: .venv/bin/backups setup --stage dev --apply --lock-existing"
    )
    # Until the vault is adopted, this is an obstacle of its own.
    assert "present locks" not in run().stdout
    run(*NOT_LOCKED)
    assert "present locks" not in run().stdout
    assert sentence in run("--lock", "compliance").stdout
    assert "present locks" not in run("--lock", "none").stdout


COMPLIANCE = ("--lock", "compliance", *NOT_LOCKED)


def test_compliance_asks_for_the_bucket_s_name(vault: Vault) -> None:
    vault.store("a")
    run(*COMPLIANCE, typed=f"{VAULT}\n")
    refused = run(*LOCKED, typed="backups1\n")
    assert refused.exit_code == 2
    assert "Compliance mode cannot be undone: for 30 days nobody" in refused.stderr
    assert (vault.locks(), vault.is_closed()) == ([None], True)
    assert run(*LOCKED, typed=f"{VAULT}\n").exit_code == 0
    assert vault.locks() == [("a", "COMPLIANCE", 30)]


def test_no_question_is_asked_if_all_is_locked(vault: Vault) -> None:
    vault.store("a", days=30, mode="COMPLIANCE")
    run(*COMPLIANCE, typed=f"{VAULT}\n")
    assert run(*LOCKED).exit_code == 0


def test_a_governance_lock_keeps_its_mode_and_is_named(vault: Vault) -> None:
    """Changing it takes the right to bypass locks, which the bucket policy denies to everyone."""
    vault.store("long enough", days=30)
    vault.store("too short", days=7)
    vault.store("over", days_ago=8, days=7)
    run(*COMPLIANCE, typed=f"{VAULT}\n")
    done = run(*LOCKED, typed=f"{VAULT}\n")
    assert "! 2 of them stay locked in governance mode until" in done.stdout
    assert vault.locks() == [
        ("long enough", "GOVERNANCE", 30),
        ("over", "COMPLIANCE", 30),
        ("too short", "GOVERNANCE", 30),
    ]


def test_a_compliance_lock_is_extended_in_its_mode_after_the_question(vault: Vault) -> None:
    vault.store("a", days=7, mode="COMPLIANCE")
    assert run(*LOCKED, typed="\n").exit_code == 2
    assert vault.locks() == [("a", "COMPLIANCE", 7)]
    assert run(*LOCKED, typed=f"{VAULT}\n").exit_code == 0
    assert vault.locks() == [("a", "COMPLIANCE", 30)]


def test_nothing_is_locked_without_a_confirmation(vault: Vault) -> None:
    vault.store("a")
    run(*NOT_LOCKED)
    assert run("--lock-existing", "--apply", typed="n\n").exit_code == 2
    assert (vault.locks(), vault.is_closed()) == ([None], True)


def test_a_stage_without_a_lock_is_refused(vault: Vault, own_project: Path) -> None:
    vault.store("a")
    refused = run("--lock", "none", *LOCKED)
    assert refused.exit_code == 2
    assert "This stage has no lock" in refused.stderr
    assert vault.locks() == [None]
    assert read_stage("dev", project=own_project).lock is not None


def test_an_empty_account_has_nothing_to_lock(account: Account) -> None:
    assert "Versions in backups2: 0." in run("--lock-existing").stdout
    assert run(*LOCKED).exit_code == 0


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_run_is_completed_by_the_next(
    vault: Vault, stopped: type[BaseException]
) -> None:
    for key in "abc":
        vault.store(key)
    run("--apply", "--yes")
    answers = iter([None])

    def stop(**_: Any) -> None:
        if next(answers, stopped):
            raise stopped

    event = "before-call.s3.PutObjectRetention"
    vault.s3.meta.events.register_first(event, stop)
    assert run(*LOCKED).exit_code in {3, 130}
    vault.s3.meta.events.unregister(event, stop)
    assert vault.locks() == [("a", "GOVERNANCE", 30), None, None]
    assert vault.is_closed()
    assert "Done. Versions locked: 2." in run(*LOCKED).stdout


@pytest.mark.parametrize(
    "event", ["before-call.s3.GetObjectRetention", "before-call.s3.PutObjectRetention"]
)
def test_a_version_that_expires_meanwhile_is_no_error(vault: Vault, event: str) -> None:
    vault.store("a")
    gone = vault.store("b")
    run("--apply", "--yes")

    def expire(**_: Any) -> None:
        with past_the_door(vault.s3):
            vault.s3.delete_object(Bucket=VAULT, Key="b", VersionId=gone)

    vault.s3.meta.events.register_first(event, expire)
    done = run(*LOCKED)
    assert done.exit_code == 0, done.output
    assert vault.locks() == [("a", "GOVERNANCE", 30)]
