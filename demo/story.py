"""`make demo`: follows one backup on this machine, from tar to the vault and back."""

import os
import secrets
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from admin.account import local_account
from admin.drill.attacks import NotAsPromisedError as BrokenPromise
from admin.drill.scenario import drill
from admin.stage import read_stage
from admin.target import Target
from admin.waiting import Waiter
from chalicelib.policy.file import read_policy
from demo.deployment import DeployError
from demo.narration import NotAsPromisedError, Shell, console, expect, heading, tell
from demo.stage import StageCloud, running
from localcloud.clock import clock
from localcloud.functions.lambda_functions import REGION
from localcloud.iam.authorization import Credentials
from localcloud.s3.events import Deliver

LONGEST_STORY = timedelta(minutes=1)


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
        console.print("\nInterrupted; nothing is left on this machine.")
        sys.exit(130)
    seconds = time.monotonic() - began
    console.print(
        "\nAll as promised. A server's backup was promoted to the vault, under a name that the "
        "server"
        " cannot choose.\nNeither the server, nor the function, nor the administrator could change"
        " it there, and it came back byte for byte."
        f"\nThis took {seconds:.0f} seconds. Nothing is left on this machine.",
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
            upload = wait_for_a_new_slot()
            make_data(server)
            slot = back_up(server, cloud, upload)
            stored = identity(cloud, slot)
            upload_something_else(server, cloud, upload)
            expect(identity(cloud, slot) == stored, f"{slot} changed after a second upload")
            restore(administrator, cloud, slot)
            break_in(cloud)
            expect(identity(cloud, slot) == stored, f"{slot} changed during the attacks")
            # Last, because it moves the cloud's clock.
            if other := another_upload(upload):
                lose_an_event(server, cloud, other, notifications)
        finally:
            server.stop_gpg()


def deploy_the_app(cloud: StageCloud) -> None:
    """Set up the account and deploy the app; ends the demo if `chalice deploy` fails."""
    heading("A local AWS starts on this machine, and Chalice deploys the app into it.")
    console.print("  $ backups setup --stage dev --apply")
    cloud.prepare()
    console.print("  $ chalice deploy --stage dev")
    try:
        cloud.deploy()
    except DeployError as error:
        raise NotAsPromisedError(f"chalice deploy failed:\n{error}") from None
    tell(f"{cloud.endpoint} has the bucket {cloud.incoming}, which servers upload to, the vault")
    tell(f"{cloud.vault}, the function promote, which moves uploads to the vault,")
    tell("and the function sweep, which looks for waiting uploads every 15 minutes.")


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
    """Upload something different for a filled slot: contested, and neither changes."""
    heading("An intruder on the server uploads rubbish under the same name.")
    server.run("mkdir rubbish && echo 'all your files are mine' >rubbish/ransom.txt")
    outcome = upload_as(server, cloud, "rubbish", upload)
    expect(outcome["outcome"] == "contested", f"the second upload was {outcome['outcome']}")
    show_outcome(outcome)
    show_buckets(cloud)


def restore(administrator: Shell, cloud: StageCloud, slot: str) -> None:
    """Restore the files from the vault, and compare them byte for byte with the lost ones."""
    heading("The server is lost. Its administrator takes the backup out of the vault.")
    administrator.run(f"s3cmd --quiet get s3://{cloud.vault}/{slot} backup")
    administrator.run(
        "mkdir restored && gpg --batch --passphrase-file passphrase -d backup | tar xz -C restored"
    )
    administrator.run("diff -r site restored/site && echo 'no difference'")


def break_in(cloud: StageCloud) -> None:
    """Try every other attack, with the drill that an administrator can run in any account."""
    heading(
        "How else could an intruder get at the backup? backups drill tries, with real requests."
    )
    console.print("  $ backups drill --stage dev --assume")
    waiter = Waiter(seconds=LONGEST_STORY.total_seconds(), tell=tell)
    target = Target(
        account=local_account(cloud.endpoint), stage=read_stage("dev"), policy=read_policy()
    )
    try:
        with closing(drill(target, assume=True, waiter=waiter)) as steps:
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
    tell(f"{upload} waits in {cloud.incoming}. The local cloud's clock advances by 15 minutes.")
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


# Helpers of the story.


class Notifications:
    """Passes S3's notifications on to the functions, except one that is to be lost."""

    def __init__(self) -> None:
        self._lose = False

    def lose_next(self) -> None:
        """Drop the next notification."""
        self._lose = True

    def wrap(self, deliver: Deliver) -> Deliver:
        """Returns what receives the notifications instead of `deliver`."""

        def pass_on(function_arn: str, event: dict[str, Any]) -> None:
            lost, self._lose = self._lose, False
            if not lost:
                deliver(function_arn, event)

        return pass_on


def open_shell(directory: Path, user: str, cloud: StageCloud, credentials: Credentials) -> Shell:
    """A shell whose s3cmd has the user's credentials, and whose gpg does not touch yours."""
    gpg = directory / "gpg"
    gpg.mkdir(mode=0o700, exist_ok=True)
    (gpg / "gpg.conf").write_text("pinentry-mode loopback\nno-symkey-cache\nquiet\n")
    (directory / "passphrase").write_text("correct horse battery staple\n")
    address = cloud.endpoint.removeprefix("http://")
    configuration = directory / f"{user}.s3cfg"
    configuration.write_text(
        f"""[default]
access_key = {credentials.access_key_id}
secret_key = {credentials.secret_access_key}
bucket_location = {REGION}
host_base = {address}
host_bucket = {address}
use_https = False
quiet = True
"""
    )
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return Shell(
        directory=directory,
        environment={
            "PATH": tools,
            "HOME": str(directory),
            "GNUPGHOME": str(gpg),
            "S3CMD_CONFIG": str(configuration),
            "LC_ALL": "C.UTF-8",
        },
    )


def make_data(server: Shell) -> None:
    """Give the server something to lose: text, three million random bytes, an empty file."""
    site = server.directory / "site"
    (site / "photos").mkdir(parents=True)
    (site / "index.html").write_text("<h1>Our village</h1>\n")
    (site / "photos" / "Frühling.jpg").write_bytes(secrets.token_bytes(3_000_000))
    (site / "photos" / "empty").touch()


def wait_for_a_new_slot() -> str:
    """The upload of the story; waits for the next slot if the current one is about to end.

    Just before midnight, the second upload would fall into the next day and be promoted.
    """
    policy = read_policy()
    upload = next(iter(policy.uploads))
    now = datetime.now(UTC)
    left = policy.slot_of(upload, now).end - now
    if left < LONGEST_STORY:
        tell(f"Waiting for the next period, which begins in {left.seconds} seconds.")
        time.sleep(left.total_seconds() + 1)
    return upload


def another_upload(upload: str) -> str | None:
    """Another upload of the same server, with a free slot; None if there is only one rule."""
    uploads = read_policy().uploads
    _, server = uploads[upload]
    others = (key for key, (_, owner) in uploads.items() if owner == server and key != upload)
    return next(others, None)


def upload_as(server: Shell, cloud: StageCloud, data: str, upload: str) -> dict[str, Any]:
    """Run the server's backup of the directory `data`; returns the outcome of its promotion."""
    before = len(cloud.functions.results)
    send(server, cloud, data, upload)
    outcomes = outcomes_since(before, cloud)
    expect(len(outcomes) == 1, f"one upload had {len(outcomes)} outcomes")
    return outcomes[0]


def send(server: Shell, cloud: StageCloud, data: str, upload: str) -> None:
    """Run the server's backup of the directory `data`."""
    server.run(
        f"tar c {data} | gzip | gpg --batch --passphrase-file passphrase -c"
        f" | s3cmd --quiet put - s3://{cloud.incoming}/{upload}"
    )


def outcomes_since(before: int, cloud: StageCloud) -> list[dict[str, Any]]:
    """The outcomes of uploads after the first `before` results, once all functions have run."""
    cloud.functions.wait_until_quiet(timeout=60)
    results = cloud.functions.results[before:]
    for result in results:
        expect(result.error is None, f"{result.function} failed: {result.error}")
    return [outcome for result in results for outcome in result.payload.get("outcomes", [])]


def show_outcome(outcome: dict[str, Any]) -> None:
    """Print the outcome of an upload, and the reason."""
    tell(f"{outcome['outcome']}: {outcome['upload']} -> {outcome['slot']}")
    tell(f"{outcome['reason']}")


def show_buckets(cloud: StageCloud) -> None:
    """Print the contents of each bucket."""
    s3 = cloud.session(cloud.administrator).client("s3")
    for bucket in (cloud.incoming, cloud.vault):
        objects = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        for item in objects:
            moment = item["LastModified"].strftime("%Y-%m-%d %H:%M:%S")
            tell(f"s3://{bucket}/{item['Key']:26} {item['Size']:>10,} bytes  {moment} UTC")
        if not objects:
            tell(f"s3://{bucket}/ is empty")


def keys(cloud: StageCloud, bucket: str) -> list[str]:
    """The keys in a bucket."""
    s3 = cloud.session(cloud.administrator).client("s3")
    return [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def identity(cloud: StageCloud, slot: str) -> dict[str, Any]:
    """What identifies a stored object, to notice any replacement."""
    s3 = cloud.session(cloud.administrator).client("s3")
    head = s3.head_object(Bucket=cloud.vault, Key=slot)
    return {name: head[name] for name in ("VersionId", "ETag", "LastModified", "ContentLength")}


if __name__ == "__main__":
    main()
