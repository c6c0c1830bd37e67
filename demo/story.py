"""`make demo`: the whole way of a backup on this machine, from tar into the vault and back."""

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
from admin.waiting import Patience
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
    """Tell the story. Exit status 1: something is not as promised; 130: interrupted."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="demo-") as directory:
            story(Path(directory))
    except NotAsPromisedError as broken:
        console.print(f"\nNot as promised: {broken}", style="bold red")
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("\nInterrupted; nothing is left behind.")
        sys.exit(130)
    seconds = time.monotonic() - began
    console.print(
        "\nAll as promised. A server's backup was moved into the vault under a name of the vault's"
        " choosing;\nneither the server, nor the function, nor the administrator could change it"
        " there; it came back byte for byte."
        f"\nThat took {seconds:.0f} seconds, and nothing of it is left on this machine.",
        style="bold green",
    )


def story(directory: Path) -> None:
    """The chapters, in order; each builds on what the one before has left in the cloud."""
    notifications = Notifications()
    with running(retry_delays=(1, 1), wrap_events=notifications.wrap) as cloud:
        deploy_the_app(cloud)
        server = open_shell(directory, "server", cloud, cloud.server_credentials)
        administrator = open_shell(directory, "administrator", cloud, cloud.administrator)
        try:
            upload = wait_for_a_young_slot()
            make_data(server)
            slot = back_up(server, cloud, upload)
            stored = look(cloud, slot)
            upload_something_else(server, cloud, upload)
            expect(look(cloud, slot) == stored, f"{slot} changed when something else was uploaded")
            restore(administrator, cloud, slot)
            break_in(cloud)
            expect(look(cloud, slot) == stored, f"{slot} changed under the attacks")
            # Last, as it moves the cloud's clock.
            if other := another_upload(upload):
                lose_an_event(server, cloud, other, notifications)
        finally:
            server.stop_gpg()


def deploy_the_app(cloud: StageCloud) -> None:
    """Buckets, users, and the app; ends the demo if Chalice cannot deploy it."""
    heading("An AWS of your own starts on this machine; Chalice deploys the app into it.")
    console.print("  $ backups setup --stage dev --apply")
    cloud.prepare()
    console.print("  $ chalice deploy --stage dev")
    try:
        cloud.deploy()
    except DeployError as error:
        raise NotAsPromisedError(f"chalice deploy failed:\n{error}") from None
    tell(f"{cloud.endpoint} has the bucket {cloud.incoming}, which servers upload to, the vault")
    tell(f"{cloud.vault}, the function promote, which moves uploads from one to the other,")
    tell("and the function sweep, which looks every 15 minutes for uploads that wait.")


def back_up(server: Shell, cloud: StageCloud, upload: str) -> str:
    """The pipeline of every night; returns the slot that the backup was promoted into."""
    heading("A server makes its nightly backup and uploads it. It may upload, and nothing else.")
    outcome = upload_as(server, cloud, "site", upload)
    heading("S3 calls the function, which moves the upload into the vault, under the day's name.")
    expect(outcome["outcome"] == "promoted", f"the upload was {outcome['outcome']}")
    show_outcome(outcome)
    show_buckets(cloud)
    expect(keys(cloud, cloud.incoming) == [], f"{cloud.incoming} still holds the upload")
    expect(keys(cloud, cloud.vault) == [outcome["slot"]], f"{cloud.vault} holds something else")
    return str(outcome["slot"])


def upload_something_else(server: Shell, cloud: StageCloud, upload: str) -> None:
    """A different upload for a slot that is taken: contested, and nothing is done to either."""
    heading("Somebody breaks into the server, and uploads rubbish under the same name.")
    server.run("mkdir rubbish && echo 'all your files are mine' >rubbish/ransom.txt")
    outcome = upload_as(server, cloud, "rubbish", upload)
    expect(outcome["outcome"] == "contested", f"the second upload was {outcome['outcome']}")
    show_outcome(outcome)
    show_buckets(cloud)


def restore(administrator: Shell, cloud: StageCloud, slot: str) -> None:
    """From the vault to files, compared byte for byte with what was lost."""
    heading("The server is lost. Its administrator takes the backup out of the vault.")
    administrator.run(f"s3cmd --quiet get s3://{cloud.vault}/{slot} backup")
    administrator.run(
        "mkdir restored && gpg --batch --passphrase-file passphrase -d backup | tar xz -C restored"
    )
    administrator.run("diff -r site restored/site && echo 'no difference'")


def break_in(cloud: StageCloud) -> None:
    """Every other attack, by the drill that an administrator can run in any account."""
    heading("How else could somebody get at it? backups drill tries, with real requests.")
    console.print("  $ backups drill --stage dev --assume")
    patience = Patience(seconds=LONGEST_STORY.total_seconds(), tell=tell)
    account, stage = local_account(cloud.endpoint), read_stage("dev")
    try:
        with closing(drill(account, stage, read_policy(), assume=True, patience=patience)) as steps:
            for step in steps:
                tell(f"{step.seconds:5.1f} s  {step.says}")
    except BrokenPromise as broken:
        raise NotAsPromisedError(str(broken)) from None


def lose_an_event(
    server: Shell, cloud: StageCloud, upload: str, notifications: "Notifications"
) -> None:
    """An upload that the function is not told of is found by the sweep."""
    heading("S3 loses the event of the next upload. The sweep finds what waits.")
    notifications.lose_next()
    send(server, cloud, "site", upload)
    cloud.functions.wait_until_quiet(timeout=60)
    expect(upload in keys(cloud, cloud.incoming), f"{upload} does not wait in {cloud.incoming}")
    tell(f"{upload} waits in {cloud.incoming}. The local cloud's clock moves on by 15 minutes.")
    before = len(cloud.functions.results)
    clock.advance(timedelta(minutes=15))
    cloud.run_schedules()
    outcomes = outcomes_since(before, cloud)
    promoted = [one for one in outcomes if (one["outcome"], one["upload"]) == ("promoted", upload)]
    expect(len(promoted) == 1, f"{upload} was promoted {len(promoted)} times")
    show_outcome(promoted[0])


# What the story needs.


class Notifications:
    """Hands S3's notifications on to the functions, but for one that is to be lost."""

    def __init__(self) -> None:
        self._lose = False

    def lose_next(self) -> None:
        """Drop the next notification."""
        self._lose = True

    def wrap(self, deliver: Deliver) -> Deliver:
        """What takes notifications in place of `deliver`."""

        def hand_on(function_arn: str, event: dict[str, Any]) -> None:
            lost, self._lose = self._lose, False
            if not lost:
                deliver(function_arn, event)

        return hand_on


def open_shell(directory: Path, user: str, cloud: StageCloud, credentials: Credentials) -> Shell:
    """A shell whose s3cmd talks to the cloud as the user, and whose gpg leaves yours alone."""
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


def wait_for_a_young_slot() -> str:
    """The upload that the story is about, once its slot outlasts the story.

    At five to midnight the second upload would be the next day's, and rightly promoted.
    """
    policy = read_policy()
    upload = next(iter(policy.uploads))
    now = datetime.now(UTC)
    left = policy.slot_of(upload, now).end - now
    if left < LONGEST_STORY:
        tell(f"The next period begins in {left.seconds} seconds; the story waits for it.")
        time.sleep(left.total_seconds() + 1)
    return upload


def another_upload(upload: str) -> str | None:
    """An upload of the same server, with a slot that is free; None if there is only one rule."""
    uploads = read_policy().uploads
    _, server = uploads[upload]
    others = (key for key, (_, owner) in uploads.items() if owner == server and key != upload)
    return next(others, None)


def upload_as(server: Shell, cloud: StageCloud, data: str, upload: str) -> dict[str, Any]:
    """Run the server's backup of the directory `data`; the outcome of promoting it."""
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
    """What became of uploads, once all functions have run, behind the first `before` results."""
    cloud.functions.wait_until_quiet(timeout=60)
    results = cloud.functions.results[before:]
    for result in results:
        expect(result.error is None, f"{result.function} failed: {result.error}")
    return [outcome for result in results for outcome in result.payload.get("outcomes", [])]


def show_outcome(outcome: dict[str, Any]) -> None:
    """Print what became of an upload, and why."""
    tell(f"{outcome['outcome']}: {outcome['upload']} -> {outcome['slot']}")
    tell(f"{outcome['reason']}")


def show_buckets(cloud: StageCloud) -> None:
    """Print what is in each bucket."""
    s3 = cloud.session(cloud.administrator).client("s3")
    for bucket in (cloud.incoming, cloud.vault):
        objects = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        for found in objects:
            moment = found["LastModified"].strftime("%Y-%m-%d %H:%M:%S")
            tell(f"s3://{bucket}/{found['Key']:26} {found['Size']:>10,} bytes  {moment} UTC")
        if not objects:
            tell(f"s3://{bucket}/ is empty")


def keys(cloud: StageCloud, bucket: str) -> list[str]:
    """The keys in a bucket."""
    s3 = cloud.session(cloud.administrator).client("s3")
    return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def look(cloud: StageCloud, slot: str) -> dict[str, Any]:
    """What tells one object in the vault from any other that might take its place."""
    s3 = cloud.session(cloud.administrator).client("s3")
    found = s3.head_object(Bucket=cloud.vault, Key=slot)
    return {name: found[name] for name in ("VersionId", "ETag", "LastModified", "ContentLength")}


if __name__ == "__main__":
    main()
