"""The deployed app, while S3, its events and Lambda itself do to it all that they may."""

from datetime import timedelta
from random import Random

import pytest

from localcloud.clock import clock
from tests.proofs.invariants import INCOMING, VAULT, bucket, look
from tests.support.event_faults import EventFault
from tests.support.faults import (
    EVERY_FAULT,
    at,
    by_chance,
    does_it_and_is_silent,
    for_a_while,
    slow_down,
)
from tests.support.world import DAILY, HOURLY

# What is silent takes as long as its client is patient: the app, two minutes and a half.
SPEAKING = sorted(EVERY_FAULT.keys() - {"no answer", "a slow answer"})
REQUESTS = ["HeadObject", "HeadObject", "CopyObject", "HeadObject", "DeleteObject"]


@pytest.fixture
def cloud(deployed):
    """Both buckets are empty, and no fault is left of the test before."""
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
    """Let a quarter of an hour pass."""
    clock.advance(timedelta(minutes=15))
    cloud.run_schedules()
    quiet(cloud)


def outcomes(cloud):
    """Of every attempt to promote: what became of the upload, or the type of the error."""
    return [
        result.error["errorType"] if result.error else result.payload["outcomes"][0]["outcome"]
        for result in cloud.functions.results
        if result.function == "immutable-backups-dev-promote"
    ]


def assert_promoted(body):
    held = look()
    [[stored]] = held.vault.values()
    assert (stored.body, held.incoming, held.unfinished) == (body, (), ())


def test_undisturbed_a_function_sends_what_is_counted_on_here(cloud):
    upload(cloud, b"tonight's")
    quiet(cloud)
    assert cloud.faults.sent == REQUESTS
    assert outcomes(cloud) == ["promoted"]
    assert_promoted(b"tonight's")


@pytest.mark.parametrize("fault", SPEAKING)
def test_whatever_a_copy_meets_the_upload_is_promoted(cloud, fault):
    cloud.faults.fail("CopyObject", EVERY_FAULT[fault])
    upload(cloud, b"tonight's")
    quiet(cloud)
    assert cloud.faults.sent != REQUESTS or fault.endswith("after the commit")
    assert set(outcomes(cloud)) <= {"promoted", "already-promoted"}
    assert_promoted(b"tonight's")


def test_a_function_that_is_killed_at_any_request_is_run_again_and_completes_it(cloud):
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


def test_a_function_that_is_killed_while_s3_is_silent_finds_its_copy_made(cloud):
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


def test_an_event_that_comes_twice_changes_nothing(cloud):
    cloud.events.plan(at(1, EventFault.TWICE))
    upload(cloud, b"tonight's")
    quiet(cloud)
    promoted, other = sorted(outcomes(cloud), key="promoted".__ne__)
    assert (promoted, other in {"gone", "already-promoted"}) == ("promoted", True)
    assert_promoted(b"tonight's")


def test_an_upload_whose_event_never_comes_is_promoted_by_the_sweep(cloud):
    cloud.events.plan(at(1, EventFault.LOST))
    upload(cloud, b"tonight's")
    quiet(cloud)
    assert outcomes(cloud) == []
    pass_of_the_sweep(cloud)
    assert outcomes(cloud) == ["promoted"]
    assert_promoted(b"tonight's")


def test_an_upload_whose_event_lambda_drops_is_promoted_by_the_sweep(cloud):
    """The function has no concurrency until its event has been given up."""
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
def test_an_event_that_comes_late_costs_its_upload_nothing(cloud, late):
    """A second upload lies over the first one, and its event comes first."""
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


def test_throttled_for_a_while_an_upload_is_promoted_by_a_retry(cloud):
    cloud.faults.plan(for_a_while(6, slow_down))
    upload(cloud, b"tonight's")
    quiet(cloud)
    assert outcomes(cloud) == ["ExceptionGroup", "promoted"]
    assert_promoted(b"tonight's")


def test_in_any_combination_what_is_stored_stays(cloud):
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
    assert {one.says("source-key") for [one] in held.vault.values()} == {DAILY, HOURLY}
    assert held.unfinished == ()
