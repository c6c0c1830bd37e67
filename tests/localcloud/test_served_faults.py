"""The deployed app under faults of S3, of its events and of Lambda."""

from datetime import timedelta
from random import Random

import pytest

from localcloud.clock import clock
from localcloud.functions import container
from tests.proofs.invariants import INCOMING, VAULT, look
from tests.support import impatient_runtime
from tests.support.event_faults import EventFault
from tests.support.faults import (
    EVERY_FAULT,
    at,
    by_chance,
    does_it_and_is_silent,
    for_a_while,
    slow_down,
)
from tests.support.world import DAILY, HOURLY, bucket

# A request without a response lasts until its client times out: for the app, 150 seconds.
SPEAKING = sorted(EVERY_FAULT.keys() - {"no answer", "a slow answer"})
REQUESTS = ["HeadObject", "HeadObject", "CopyObject", "HeadObject", "DeleteObject"]


@pytest.fixture(scope="module", autouse=True)
def functions_retry_at_once():
    """Neither botocore nor the app waits between two attempts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(container, "_RUNTIME", impatient_runtime.__file__)
        yield


@pytest.fixture
def cloud(deployed):
    """The deployed cloud with empty buckets, and without the faults of earlier tests."""
    for name in (INCOMING, VAULT):
        bucket(name).keys.clear()
    deployed.functions.results.clear()
    deployed.faults.sent.clear()
    yield deployed
    clock.reset()
    deployed.faults.mend()
    deployed.events.mend()
    quiet(deployed)


def upload(cloud, body, *, key=DAILY):
    server = cloud.session(cloud.server_credentials).client("s3")
    server.put_object(Bucket=INCOMING, Key=key, Body=body)


def quiet(cloud):
    cloud.functions.wait_until_quiet(timeout=120)


def pass_of_the_sweep(cloud):
    """Let 15 minutes pass."""
    clock.advance(timedelta(minutes=15))
    cloud.run_schedules()
    quiet(cloud)


def outcomes(cloud):
    """The outcome of every attempt to promote, or the type of its error."""
    return [
        result.error["errorType"] if result.error else result.payload["outcomes"][0]["outcome"]
        for result in cloud.functions.results
        if result.function == "immutable-backups-dev-promote"
    ]


def assert_promoted(body):
    held = look()
    [[stored]] = held.vault.values()
    assert (stored.body, held.incoming, held.unfinished) == (body, (), ())


def test_without_faults_a_function_sends_the_expected_requests(cloud):
    upload(cloud, b"tonight's")
    quiet(cloud)
    assert cloud.faults.sent == REQUESTS
    assert outcomes(cloud) == ["promoted"]
    assert_promoted(b"tonight's")


@pytest.mark.parametrize("fault", SPEAKING)
def test_the_upload_is_promoted_despite_any_fault_of_the_copy(cloud, fault):
    cloud.faults.fail("CopyObject", EVERY_FAULT[fault])
    upload(cloud, b"tonight's")
    quiet(cloud)
    assert cloud.faults.sent != REQUESTS or fault.endswith("after the commit")
    assert set(outcomes(cloud)) <= {"promoted", "already-promoted"}
    assert_promoted(b"tonight's")


def test_a_function_killed_at_any_request_is_retried_and_completes(cloud):
    for number in range(len(REQUESTS)):
        bucket(VAULT).keys.clear()
        cloud.functions.results.clear()
        cloud.faults.sent.clear()
        cloud.faults.kill_after(number)
        upload(cloud, b"tonight's")
        quiet(cloud)
        [killed, completed] = outcomes(cloud)
        assert killed == "Runtime.ExitError"
        assert completed == ("promoted" if number <= 2 else "already-promoted")
        assert_promoted(b"tonight's")


def test_a_function_killed_while_waiting_for_s3_finds_its_copy_made(cloud):
    def dies_waiting(request, do_it):
        try:
            return does_it_and_is_silent(request, do_it)
        finally:
            cloud.functions.kill()

    cloud.faults.fail("CopyObject", dies_waiting)
    upload(cloud, b"tonight's")
    quiet(cloud)
    assert outcomes(cloud) == ["Runtime.ExitError", "already-promoted"]
    assert_promoted(b"tonight's")


def test_a_repeated_event_changes_nothing(cloud):
    cloud.events.plan(at(1, EventFault.TWICE))
    upload(cloud, b"tonight's")
    quiet(cloud)
    promoted, other = sorted(outcomes(cloud), key="promoted".__ne__)
    assert (promoted, other in {"gone", "already-promoted"}) == ("promoted", True)
    assert_promoted(b"tonight's")


def test_the_sweep_promotes_an_upload_whose_event_is_lost(cloud):
    cloud.events.plan(at(1, EventFault.LOST))
    upload(cloud, b"tonight's")
    quiet(cloud)
    assert outcomes(cloud) == []
    pass_of_the_sweep(cloud)
    assert outcomes(cloud) == ["promoted"]
    assert_promoted(b"tonight's")


def test_the_sweep_promotes_an_upload_whose_event_lambda_drops(cloud):
    """The function has no concurrency until its event is dropped."""
    functions = cloud.session(cloud.administrator).client("lambda")
    named = {"FunctionName": "immutable-backups-dev-promote"}
    functions.put_function_event_invoke_config(**named, MaximumEventAgeInSeconds=60)
    functions.put_function_concurrency(**named, ReservedConcurrentExecutions=0)
    upload(cloud, b"tonight's")
    clock.advance(timedelta(minutes=1))
    quiet(cloud)
    assert cloud.functions.dropped == {"immutable-backups-dev-promote": 1}
    assert outcomes(cloud) == []
    functions.delete_function_event_invoke_config(**named)
    functions.delete_function_concurrency(**named)
    pass_of_the_sweep(cloud)
    assert outcomes(cloud) == ["promoted"]
    assert_promoted(b"tonight's")


@pytest.mark.parametrize("late", [EventFault.SWAPPED, EventFault.DELAYED])
def test_a_late_event_does_not_cost_its_upload_the_slot(cloud, late):
    """A second upload replaced the first, and its event arrives first."""
    cloud.events.plan(at(1, late))
    upload(cloud, b"the first one")
    quiet(cloud)
    assert outcomes(cloud) == []
    upload(cloud, b"the second one")
    quiet(cloud)
    cloud.events.mend()
    quiet(cloud)
    promoted, other = sorted(outcomes(cloud), key="promoted".__ne__)
    assert (promoted, other in {"waiting", "contested"}) == ("promoted", True)
    held = look()
    assert [stored.body for [stored] in held.vault.values()] == [b"the first one"]
    assert [waiting.body for waiting in held.incoming] == [b"the second one"]


def test_a_retry_promotes_an_upload_after_temporary_throttling(cloud):
    cloud.faults.plan(for_a_while(6, slow_down))
    upload(cloud, b"tonight's")
    quiet(cloud)
    assert outcomes(cloud) == ["ExceptionGroup", "promoted"]
    assert_promoted(b"tonight's")


def test_stored_backups_stay_under_any_combination_of_faults(cloud):
    chance = Random(7)
    cloud.faults.plan(by_chance(chance, 0.15, [EVERY_FAULT[name] for name in SPEAKING]))
    cloud.events.plan(by_chance(chance, 0.4, list(EventFault)))
    stored = {}
    for number in range(10):
        upload(cloud, b"%d" % number, key=[DAILY, HOURLY][number % 2])
        quiet(cloud)
        before, stored = stored, look().vault
        assert before.items() <= stored.items()
    cloud.faults.mend()
    cloud.events.mend()
    for key in (DAILY, HOURLY):
        upload(cloud, b"the last one", key=key)
    quiet(cloud)
    held = look()
    assert stored.items() <= held.vault.items()
    assert {len(versions) for versions in held.vault.values()} == {1}
    assert {stored.says("source-key") for [stored] in held.vault.values()} == {DAILY, HOURLY}
    assert held.unfinished == ()
