"""`make demo`: follows one backup on this machine, from tar to the vault and back."""

import sys
import tempfile
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path, PurePath

from admin.account import local_account
from admin.drill.attacks import NotAsPromisedError as BrokenPromise
from admin.drill.scenario import drill
from admin.stage import PROJECT, read_stage
from admin.target import Target
from admin.waiting import Waiter
from chalicelib.policy.file import read_policy
from demo.deployment import PACKAGES, DeployError
from demo.narration import NotAsPromisedError, Shell, console, expect, heading, tell
from demo.scene import (
    LONGEST_STORY,
    Notifications,
    another_upload,
    identity,
    keys,
    make_data,
    make_key_pair,
    open_shell,
    outcomes_since,
    send,
    show_buckets,
    show_outcome,
    upload_as,
    wait_for_a_new_slot,
)
from demo.stage import StageCloud, running
from localcloud.clock import clock


def main() -> None:
    """Run the demo. Exit status 1: a promise is broken; 130: interrupted."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="demo-") as directory:
            story(Path(directory))
    except NotAsPromisedError as broken:
        console.print(f"\nNot as promised: {broken}", style="bold red")
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("\nInterrupted; the local cloud and its files are gone.")
        sys.exit(130)
    seconds = time.monotonic() - began
    console.print(
        "\nAll as promised. A server's backup was promoted to the vault, under a name that the "
        "server cannot choose.\nNeither the server, nor the function, nor the administrator could "
        "change it there, and it came back byte for byte.\n"
        f"This took {seconds:.0f} seconds. Only the app's package is left, in {PACKAGES}, for the "
        "next time.",
        style="bold green",
    )


def story(directory: Path) -> None:
    """The chapters, in order; each builds on what the previous chapter left in the cloud."""
    notifications = Notifications()
    with running(retry_delays=(1, 1), wrap_events=notifications.wrap) as cloud:
        deploy_the_app(cloud)
        server = open_shell(directory, "server", cloud, cloud.server_credentials)
        administrator = open_shell(directory, "administrator", cloud, cloud.administrator)
        try:
            heading("The administrator makes a key pair. Servers get only the public key.")
            make_key_pair(administrator)
            upload = wait_for_a_new_slot()
            make_data(server)
            slot = back_up(server, cloud, upload)
            stored = identity(cloud, slot)
            upload_something_else(server, cloud, upload)
            expect(identity(cloud, slot) == stored, f"{slot} changed after a second upload")
            break_in(cloud)
            expect(identity(cloud, slot) == stored, f"{slot} changed during the attacks")
            # After the attacks, because this moves the cloud's clock.
            if other := another_upload(upload):
                lose_an_event(server, cloud, other, notifications)
            restore(administrator, upload, slot)
            restore_by_hand(administrator, cloud, slot)
        finally:
            server.stop_gpg()
            administrator.stop_gpg()


def deploy_the_app(cloud: StageCloud) -> None:
    """Set up the account and deploy the app; ends the demo if `chalice deploy` fails."""
    heading("A local AWS starts on this machine, and Chalice deploys the app into it.")
    console.print("  $ backups setup --stage dev --apply")
    cloud.prepare()
    console.print("  $ chalice deploy --stage dev")
    try:
        cloud.deploy(packages=PROJECT / PACKAGES)
    except DeployError as error:
        raise NotAsPromisedError(f"chalice deploy failed:\n{error}") from None
    tell(f"{cloud.endpoint} has two buckets: {cloud.incoming}, which servers upload to,")
    tell(f"and the vault, {cloud.vault}. It also has three functions: promote moves uploads to the")
    tell("vault, sweep looks for waiting uploads every 15 minutes, and audit looks for missing")
    tell("backups every hour.")


def back_up(server: Shell, cloud: StageCloud, upload: str) -> str:
    """The nightly backup; returns the slot that it was promoted to."""
    heading("A server makes its nightly backup and uploads it. It can upload, and nothing else.")
    outcome = upload_as(server, cloud, "site", upload)
    heading(
        "S3 notifies the function, which moves the upload to the vault, under the name of the day."
    )
    expect(outcome["outcome"] == "promoted", f"the upload was {outcome['outcome']}")
    show_outcome(outcome)
    show_buckets(cloud)
    expect(keys(cloud, cloud.incoming) == [], f"{cloud.incoming} still holds the upload")
    expect(
        keys(cloud, cloud.vault) == [outcome["slot"]],
        f"{cloud.vault} does not hold exactly the promoted backup",
    )
    return str(outcome["slot"])


def upload_something_else(server: Shell, cloud: StageCloud, upload: str) -> None:
    """Upload something different for a filled slot: it is contested, and nothing changes."""
    heading("An intruder on the server uploads rubbish under the same name.")
    server.run("mkdir rubbish && echo 'all your files are mine' >rubbish/ransom.txt")
    outcome = upload_as(server, cloud, "rubbish", upload)
    expect(outcome["outcome"] == "contested", f"the second upload was {outcome['outcome']}")
    show_outcome(outcome)
    show_buckets(cloud)


def break_in(cloud: StageCloud) -> None:
    """Try every other attack, with the drill that an administrator can run in any account."""
    heading(
        "How else could an intruder get at the backup? backups drill tries, with real requests."
    )
    console.print("  $ backups drill --stage dev --assume --quick")
    waiter = Waiter(seconds=LONGEST_STORY.total_seconds(), tell=tell)
    target = Target(
        account=local_account(cloud.endpoint), stage=read_stage("dev"), policy=read_policy()
    )
    try:
        with closing(drill(target, assume=True, quick=True, waiter=waiter)) as steps:
            for step in steps:
                tell(f"{step.seconds:5.1f} s  {step.sentence}")
    except BrokenPromise as broken:
        raise NotAsPromisedError(str(broken)) from None


def lose_an_event(
    server: Shell, cloud: StageCloud, upload: str, notifications: "Notifications"
) -> None:
    """Lose the event of an upload; the sweep promotes it."""
    heading("S3 loses the event of the next upload. The sweep finds the waiting upload.")
    notifications.lose_next()
    send(server, cloud, "site", upload)
    cloud.functions.wait_until_quiet(timeout=60)
    expect(upload in keys(cloud, cloud.incoming), f"{upload} is not waiting in {cloud.incoming}")
    tell(f"{upload} is waiting in {cloud.incoming}.")
    tell("The local cloud's clock advances by 15 minutes.")
    before = len(cloud.functions.results)
    clock.advance(timedelta(minutes=15))
    cloud.run_schedules()
    outcomes = outcomes_since(before, cloud)
    promoted = [
        outcome
        for outcome in outcomes
        if (outcome["outcome"], outcome["upload"]) == ("promoted", upload)
    ]
    expect(len(promoted) == 1, f"{upload} was promoted {len(promoted)} times")
    show_outcome(promoted[0])


def restore(administrator: Shell, upload: str, slot: str) -> None:
    """Restore the lost files with `backups restore`, and compare them byte for byte."""
    heading("The server is lost. Its administrator restores the backup from the vault.")
    rule, server = read_policy().server_keys[upload]
    options = f"--rule {rule.upload}{f' --server {server}' if server else ''}"
    administrator.run(f"backups restore latest {options}")
    file = PurePath(slot).name
    administrator.run(f"mkdir restored && gpg --decrypt {file} | tar -xzf - -C restored")
    administrator.run("diff -r site restored/site && echo 'no difference'")


def restore_by_hand(administrator: Shell, cloud: StageCloud, slot: str) -> None:
    """Restore the same files with plain commands."""
    heading("It takes only three plain commands, and nothing of this software.")
    administrator.run(f"s3cmd --quiet get s3://{cloud.vault}/{slot} copy.gpg")
    administrator.run("gpg --decrypt --output copy.tar.gz copy.gpg")
    administrator.run("mkdir by-hand && tar -xzf copy.tar.gz -C by-hand")
    administrator.run("diff -r site by-hand/site && echo 'no difference'")


if __name__ == "__main__":
    main()
