"""`backups restore` of archived backups: asks, starts or recognises a retrieval, and waits."""

from datetime import timedelta

import pytest

from admin.restore.archived import LOOK_EVERY
from localcloud.clock import clock
from tests.support.faults import answers, dropped_before
from tests.support.restoring import DAILY, TODAY, Restorer

FULL = ("latest", "--rule", DAILY)
HOUR = timedelta(hours=1)
BODY = b"an archived backup of some bytes"


@pytest.fixture(params=[("GLACIER", "3 to 5 hours"), ("DEEP_ARCHIVE", "up to 12 hours")])
def archived(restore: Restorer, request: pytest.FixtureRequest) -> tuple[Restorer, str]:
    storage_class, takes = request.param
    restore.store(BODY, StorageClass=storage_class)
    return restore, takes


def lines(restore: Restorer, *arguments: str, answer: str | None = None) -> list[str]:
    """What it prints after the backup's own line, without restoring it."""
    result = restore(*FULL, *arguments, answer=answer)
    assert result.exit_code == 3, result.output
    assert restore.files() == {}
    return result.stderr.splitlines()[2:]


def retrievals(restore: Restorer) -> int:
    return restore.wire.sent.count("RestoreObject")


def test_it_says_what_a_retrieval_takes_and_asks(archived: tuple[Restorer, str]) -> None:
    restore, takes = archived
    first, question, end = lines(restore, answer="n\n")
    assert first.endswith(
        f"S3 takes {takes} to retrieve it, and bills the retrieval and 7 days of a readable copy."
    )
    assert question == "Retrieve it? [y/N]: n"
    assert end == "Error: The backup is not restored: it was not retrieved"
    assert retrievals(restore) == 0


def test_a_question_that_nobody_can_answer_is_wrong_usage(archived: tuple[Restorer, str]) -> None:
    restore, _ = archived
    result = restore(*FULL)
    assert result.exit_code == 2
    assert "or confirm with --yes" in result.stderr
    assert retrievals(restore) == 0


def test_the_same_command_restores_it_when_it_can_be_read(archived: tuple[Restorer, str]) -> None:
    restore, takes = archived
    assert lines(restore, answer="y\n")[-1] == (
        "Error: The backup is not restored yet. The retrieval has started, which takes "
        f"{takes}: run the same command again then, or now with --wait"
    )
    [again] = lines(restore)
    assert "Error: The backup is not restored yet. S3 is retrieving it from" in again
    assert retrievals(restore) == 1
    clock.advance(12 * HOUR)
    assert restore(*FULL).exit_code == 0
    assert restore.files() == {TODAY: BODY}
    assert retrievals(restore) == 1


def test_wait_waits_for_it(archived: tuple[Restorer, str]) -> None:
    restore, _ = archived
    result = restore(*FULL, "--yes", "--wait")
    assert result.exit_code == 0, result.output
    assert restore.files() == {TODAY: BODY}
    assert set(restore.slept) == {LOOK_EVERY}
    assert 5 * HOUR <= timedelta(seconds=sum(restore.slept)) <= 12 * HOUR
    assert retrievals(restore) == 1


def test_wait_waits_for_a_retrieval_that_is_on_its_way(archived: tuple[Restorer, str]) -> None:
    restore, _ = archived
    lines(restore, "--yes")
    result = restore(*FULL, "--wait", "-o", "-")
    assert result.exit_code == 0
    assert result.stdout_bytes == BODY
    assert "Waiting; Ctrl-C ends only the waiting." in result.stderr
    assert retrievals(restore) == 1


def test_a_retrieval_that_another_command_has_just_started(archived: tuple[Restorer, str]) -> None:
    restore, _ = archived
    restore.wire.fail("RestoreObject", answers(409, "RestoreAlreadyInProgress"))
    assert "The retrieval has started" in lines(restore, "--yes")[-1]


def test_a_denied_retrieval_is_status_3(archived: tuple[Restorer, str]) -> None:
    restore, _ = archived
    restore.wire.fail("RestoreObject", answers(403, "AccessDenied"))
    assert lines(restore, "--yes")[-1] == "Error: RestoreObject is denied: AccessDenied"


def test_a_network_that_is_away_for_a_while_does_not_end_the_waiting(restore: Restorer) -> None:
    restore.store(BODY, StorageClass="GLACIER")
    lines(restore, "--yes")
    # The first backup is requested before the wait.
    restore.wire.fail("HeadObject", None, *[dropped_before] * 30)
    result = restore(*FULL, "--wait")
    assert result.exit_code == 0, result.output
    assert restore.files() == {TODAY: BODY}


def test_a_version_that_is_removed_meanwhile_ends_the_waiting(restore: Restorer) -> None:
    restore.store(BODY, StorageClass="GLACIER")
    lines(restore, "--yes")
    restore.wire.fail("HeadObject", None, answers(404))
    result = restore(*FULL, "--wait")
    assert result.exit_code == 1
    assert f"Error: {TODAY} was removed while S3 was retrieving it" in result.stderr


def test_a_copy_that_has_expired_is_retrieved_again(restore: Restorer) -> None:
    restore.store(BODY, StorageClass="GLACIER")
    lines(restore, "--yes")
    clock.advance(5 * HOUR + timedelta(days=7))
    assert "Retrieve it? [y/N]: n" in lines(restore, answer="n\n")


@pytest.mark.parametrize("name", [TODAY, "named"])
def test_nothing_is_retrieved_for_a_file_that_cannot_be_written(
    restore: Restorer, name: str
) -> None:
    restore.store(BODY, StorageClass="GLACIER")
    (restore.folder / name).write_bytes(b"mine")
    result = restore(*FULL, "--yes", *(("-o", name) if name == "named" else ()))
    assert result.exit_code == 2
    assert retrievals(restore) == 0


def test_instant_retrieval_is_read_at_once(restore: Restorer) -> None:
    restore.store(BODY, StorageClass="GLACIER_IR")
    assert restore(*FULL).exit_code == 0
