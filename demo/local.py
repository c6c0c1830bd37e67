"""`make local`: serves the local cloud until Ctrl-C and prints what its functions do.

It also prints the mails that functions and alarms send.
"""

import json
import shutil
import signal
import textwrap
import time
from contextlib import ExitStack
from typing import Any, NoReturn
from urllib.parse import urlsplit

import click

from admin.config.names import ENDPOINT
from admin.stage import LOCAL_PORT, PORTS, PROJECT, StageError, read_stage
from chalicelib.policy.file import read_policy
from chalicelib.policy.rules import PolicyError
from demo.deployment import PACKAGES, DeployError
from demo.history import DAYS
from demo.keyring import Keyring
from demo.seeding import seed
from demo.stage import StageCloud, running
from localcloud.clock import clock
from localcloud.functions.lambda_functions import REGION
from localcloud.functions.runner import Result
from localcloud.iam.authorization import Credentials
from localcloud.server import PortTaken
from localcloud.sns.topics import Message

# At this speed a sweep is due every 1.5 seconds, of which a cold start takes one second.
FASTEST = 600


class Port(click.ParamType[int]):
    """A port that any user can listen on, or 0."""

    name = "PORT"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Parse the port."""
        port = click.INT.convert(value, param, ctx)
        if port and port not in PORTS:
            self.fail(f"{port} is not 0 or from {PORTS.start} to {PORTS.stop - 1}", param, ctx)
        return int(port)


@click.command()
@click.option(
    "--port",
    type=Port(),
    help=f"Port on 127.0.0.1 (default: that of stage dev, {LOCAL_PORT} or 9000); 0 picks a free "
    "port.",
)
@click.option(
    "--by-hand",
    is_flag=True,
    help="Invoke no function: you post events to `chalice local` instead.",
)
@click.option(
    "--empty", is_flag=True, help="Start with an empty account; `make deploy STAGE=dev` sets it up."
)
@click.option(
    "--seeded", is_flag=True, help="Store three months of backups, to list and to restore."
)
@click.option(
    "--speed",
    type=click.FloatRange(min=1, max=FASTEST),
    default=1,
    help="How fast time passes: with 60, a minute is an hour.",
)
def main(*, port: int | None, by_hand: bool, empty: bool, seeded: bool, speed: float) -> None:
    r"""Serve a local AWS on this machine, in memory, until Ctrl-C.

    \b
    Example:
      make local ARGS="--port 9001"
      (paste the printed export lines into another terminal, and upload)

    It has the buckets of the stage dev, a server that can only upload, and the app, deployed by the
    real `chalice deploy`. Nothing reaches AWS, and nothing is kept.
    """
    if seeded:
        refuse_to_seed(empty=empty)
    # After SIGTERM, the cloud cleans up as it does after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        stage = read_stage("dev")
        of_stage = urlsplit(stage.environment[ENDPOINT]).port

        def show_mail_of_stage(message: Message) -> None:
            if message.topic_arn.endswith(f":{stage.topic}"):
                show_mail(message)

        with (
            ExitStack() as stack,
            running(
                port=of_stage if port is None else port,
                by_hand=by_hand,
                speed=speed,
                on_log=show_log_line,
                on_result=show_failure,
                on_message=show_mail_of_stage,
            ) as cloud,
        ):
            if empty:
                click.echo(f"An empty account listens at {cloud.endpoint} until Ctrl-C.")
                show_port(cloud)
            else:
                cloud.prepare()
                click.echo("chalice deploy (takes a few seconds) ...", err=True)
                cloud.deploy(packages=PROJECT / PACKAGES)
                show_ways_in(cloud, by_hand=by_hand)
                if seeded:
                    click.echo("Storing backups (takes a few seconds) ...", err=True)
                    show_seeded(cloud, stack.enter_context(Keyring.made()))
                if not by_hand:
                    click.echo(
                        "Promotions, mails, a sweep every 15 minutes, and an audit every hour:\n"
                    )
            wait_for_ctrl_c()
    except (PortTaken, PolicyError, StageError) as error:
        raise click.ClickException(str(error)) from None
    except DeployError as error:
        click.echo(str(error), err=True)
        raise click.ClickException("chalice deploy failed; see its output above.") from None
    except KeyboardInterrupt:
        click.echo("\nThe local cloud has stopped; everything in it is gone.", err=True)


def wait_for_ctrl_c() -> NoReturn:
    """Wait until a signal raises KeyboardInterrupt."""
    # The system can deliver a signal to another thread, and that does not wake this one.
    while True:
        time.sleep(1)


def refuse_to_seed(*, empty: bool) -> None:
    """Raise UsageError if backups cannot be stored."""
    if empty:
        raise click.UsageError("--empty and --seeded contradict each other; leave out one of them")
    if not shutil.which("gpg"):
        raise click.UsageError("--seeded needs gpg; install gnupg")


def show_ways_in(cloud: StageCloud, *, by_hand: bool) -> None:
    """Print the endpoint, and each user's credentials as lines to paste."""
    click.echo(f"The local cloud listens at {cloud.endpoint} until Ctrl-C.")
    click.echo(f"Servers upload to {cloud.incoming}; the vault is {cloud.vault}.\n")
    show_port(cloud)
    address = cloud.endpoint.removeprefix("http://")
    for server, credentials in cloud.servers.items():
        click.echo(f"For the server{f' {server}' if server else ''}, which can only upload:\n")
        show_exports(cloud, credentials)
        upload = next(
            key for key, (_, owner) in read_policy().server_keys.items() if owner == server
        )
        click.echo("A first upload with these credentials:\n")
        click.echo(
            f".venv/bin/python .venv/bin/s3cmd --no-ssl --host={address} --host-bucket={address}"
            f" --region={REGION} put README.md s3://{cloud.incoming}/{upload}\n"
        )
    click.echo("For the administrator, who can do everything:\n")
    show_exports(cloud, cloud.administrator)
    if by_hand:
        for function, does in (("promote", "promotes and sweeps"), ("audit", "audits")):
            click.echo(
                f"For the role of the function {function}, valid for 12 hours; chalice local "
                f"{does} with it:\n"
            )
            show_exports(cloud, cloud.role_credentials(function))
        click.echo("Then run: BACKUPS_DEV_ROUTES=1 .venv/bin/chalice local\n")


def show_seeded(cloud: StageCloud, keyring: Keyring) -> None:
    """Store backups, and print how to list, restore and decrypt them."""
    policy = read_policy()
    number = seed(policy, keyring, incoming=cloud.incoming, vault=cloud.vault, now=clock.now())
    rule, server = next(iter(policy.server_keys.values()))
    options = f"--rule {rule.upload}{f' --server {server}' if server else ''}"
    click.echo(
        f"{number:,} backups of the last {DAYS} days are stored, encrypted for a throw-away key"
    )
    click.echo(f"({keyring.private_key}). In another terminal, in this directory:\n")
    click.echo(f"export GNUPGHOME={keyring.home}")
    click.echo(".venv/bin/backups list")
    click.echo(f".venv/bin/backups restore latest {options}\n")


def show_port(cloud: StageCloud) -> None:
    """Print the line that commands with the stage dev need if this is not their usual port."""
    if cloud.endpoint != read_stage("dev").environment[ENDPOINT]:
        click.echo("In each terminal, for commands with the stage dev:\n")
        click.echo(f"export {LOCAL_PORT}={urlsplit(cloud.endpoint).port}\n")


def show_exports(cloud: StageCloud, credentials: Credentials) -> None:
    """Print shell commands that export these credentials."""
    click.echo(f"export AWS_ACCESS_KEY_ID={credentials.access_key_id}")
    click.echo(f"export AWS_SECRET_ACCESS_KEY={credentials.secret_access_key}")
    if credentials.session_token:
        click.echo(f"export AWS_SESSION_TOKEN={credentials.session_token}")
    else:
        click.echo("unset AWS_SESSION_TOKEN")
    click.echo(f"export AWS_DEFAULT_REGION={REGION}")
    click.echo(f"export AWS_ENDPOINT_URL={cloud.endpoint}\n")


def show_log_line(line: str) -> None:
    """Print a line of a function's log: what it did as a sentence, anything else to stderr."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        record = None
    time = f"{clock.now().astimezone():%a %H:%M:%S}"
    match record:
        case {"outcome": outcome, "reason": reason, "upload": upload}:
            slot = f" -> {record['slot']}" if record.get("slot") else ""
            size = f", {record['size']:,} bytes" if record.get("size") is not None else ""
            # Escaped as in JSON: a key can contain characters that move the cursor or begin a line.
            key = json.dumps(upload)[1:-1]
            click.echo(f"{time}  {outcome:16}  {key}{slot}{size}: {reason}")
        case {"versions": versions, "waiting": waiting, "handed_over": handed_over}:
            click.echo(
                f"{time}  {'swept':16}  {versions} versions in incoming, {waiting} waiting,"
                f" {handed_over} handed over to promote"
            )
        case {"message": str(message)} if message.startswith("audited: "):
            click.echo(f"{time}  {'audited':16}  {message.removeprefix('audited: ')}")
        case {"_aws": _}:
            pass
        case _:
            click.echo(line, err=True)


def show_mail(message: Message) -> None:
    """Print a message to the topic for alerts as a mail: its subject, and the text indented."""
    text = message.body
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        document = None
    match document:
        case {"AlarmDescription": str(description), "NewStateValue": state}:
            text = description if state == "ALARM" else ""
    time = f"{message.at.astimezone():%a %H:%M:%S}"
    mail = f"{time}  {'mail':16}  {message.subject}\n{textwrap.indent(text, ' ' * 4)}".rstrip()
    click.echo("".join(one if one.isprintable() or one == "\n" else "?" for one in mail))


def show_failure(result: Result) -> None:
    """Print that an attempt failed; like Lambda, the local cloud tries three times."""
    if result.error:
        click.echo(
            f"{result.function} failed at attempt {result.attempt}: {result.error['errorMessage']}",
            err=True,
        )


if __name__ == "__main__":
    main()
