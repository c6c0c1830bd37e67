"""An AWS for one laptop: S3, IAM, STS and Lambda on one port of 127.0.0.1, its state in memory."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.loaders import create_loader
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    create_backend_app,
)
from moto.sts.models import sts_backends

from admin.account import LOCAL_ACCESS_KEY_ID, LOCAL_SECRET_ACCESS_KEY, Account
from admin.desired.buckets import desired_settings
from admin.setup.plan import execute, make_plan
from admin.stage import read_stage
from demo.deployment import deploy, read_config, read_policy_of
from localcloud.clock import clock
from localcloud.functions.api import serving_settings
from localcloud.functions.bundles import Bundles, naming_bundles
from localcloud.functions.event_queue import LAMBDA_RETRY_DELAYS, NEW_ACCOUNT_CONCURRENCY
from localcloud.functions.lambda_functions import REGION
from localcloud.functions.runner import Functions, Result, serving_invoke
from localcloud.functions.schedules import Schedules
from localcloud.iam.authorization import Authorization, Credentials
from localcloud.iam.identities import corrected_identities
from localcloud.s3.backend import corrected
from localcloud.s3.lifecycle import lifecycle_each_night
from localcloud.server import HOST, listening, serving
from tests.support.event_faults import EventFaults
from tests.support.served_faults import ServedFaults

REPOSITORY = Path(__file__).parent.parent
ADMINISTRATOR = Credentials(
    access_key_id=LOCAL_ACCESS_KEY_ID, secret_access_key=LOCAL_SECRET_ACCESS_KEY
)

# Large files, which a loader reads once; and a client is made for every few requests.
_SERVICE_DESCRIPTIONS = create_loader()


@contextmanager
def running(
    *,
    port: int = 0,
    retry_delays: tuple[float, ...] = LAMBDA_RETRY_DELAYS,
    concurrency: int = NEW_ACCOUNT_CONCURRENCY,
    by_hand: bool = False,
    on_log: Callable[[str], None] | None = None,
    on_result: Callable[[Result], None] | None = None,
) -> Iterator["Cloud"]:
    """A new, empty cloud, served until the block ends; port 0 takes a free one.

    One at a time in a process (RuntimeError), as moto's state is global. `retry_delays` are the
    seconds before the second, third... attempt of a failed event, by the cloud's clock; at most
    `concurrency` functions run at a time. With `by_hand` neither uploads nor schedules run any: a
    person does. `on_log` gets each line that functions print, `on_result` what came of each
    attempt.
    The clock runs with this machine's again when the block ends. Raises PortTaken.
    """
    with _only_one(), listening(port) as listener:
        endpoint = f"http://{HOST}:{listener.getsockname()[1]}"
        functions = Functions(
            role_credentials=_assume,
            retry_delays=retry_delays,
            concurrency=concurrency,
            on_log=on_log,
            on_result=on_result,
        )
        moto = DomainDispatcherApplication(create_backend_app)
        authorized = Authorization(moto, administrator=ADMINISTRATOR)
        faults = ServedFaults(authorized, kill=functions.kill)
        events = EventFaults(functions.deliver)
        schedules = Schedules(
            deliver=_left_to_a_hand if by_hand else functions.deliver, tell=functions.tell_log
        )
        moto_api_backend.reset()
        try:
            with (
                corrected(deliver=None if by_hand else events),
                corrected_identities(administrator=ADMINISTRATOR),
                serving_invoke(functions),
                naming_bundles(endpoint),
                serving_settings(concurrency=concurrency),
                serving(listener, Bundles(faults)),
                lifecycle_each_night(),
                # These end before the server: what runs would otherwise wait for answers.
                functions.taking_events(),
                schedules.running(),
            ):
                yield Cloud(
                    endpoint=endpoint,
                    functions=functions,
                    faults=faults,
                    events=events,
                    schedules=schedules,
                )
        finally:
            moto_api_backend.reset()
            clock.reset()


@dataclass(frozen=True, kw_only=True)
class Session:
    """Makes boto3 clients of the cloud for one user, whatever this shell or ~/.aws says."""

    endpoint: str
    credentials: Credentials

    def client(self, service: str, *, config: Config | None = None) -> Any:
        """A boto3 client; `config` is merged over one that talks to the endpoint directly."""
        direct = Config(proxies={})
        return self.boto3_session().client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.endpoint,
            config=direct.merge(config) if config else direct,
        )

    def boto3_session(self) -> boto3.Session:
        """A session of this user's; its clients need to be told the endpoint."""
        nothing_of_this_user = {
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
        core = botocore.session.Session(session_vars=nothing_of_this_user)
        core.register_component("data_loader", _SERVICE_DESCRIPTIONS)
        return boto3.Session(
            aws_access_key_id=self.credentials.access_key_id,
            aws_secret_access_key=self.credentials.secret_access_key,
            aws_session_token=self.credentials.session_token,
            region_name=REGION,
            botocore_session=core,
        )


class Cloud:
    """What `running` gives: the way in for its administrator, its servers and its roles.

    `faults` happen to what functions ask of S3, and `events` to what S3 tells functions.
    """

    administrator = ADMINISTRATOR

    def __init__(
        self,
        *,
        endpoint: str,
        functions: Functions,
        faults: ServedFaults,
        events: EventFaults,
        schedules: Schedules,
    ) -> None:
        self.endpoint = endpoint
        self.functions = functions
        self.faults = faults
        self.events = events
        self._schedules = schedules
        self.incoming = ""
        self.vault = ""
        self.servers: dict[str | None, Credentials] = {}

    def session(self, credentials: Credentials) -> Session:
        """Clients that act as whoever holds these credentials."""
        return Session(endpoint=self.endpoint, credentials=credentials)

    @property
    def server_credentials(self) -> Credentials:
        """The keys of the policy's only server, or of its first; there after `prepare`."""
        return next(iter(self.servers.values()))

    def role_credentials(self, function: str, *, stage: str = "dev") -> Credentials:
        """Credentials of the role that `chalice deploy` made for a function, such as promote."""
        administrator = self.session(self.administrator)
        deployed = administrator.client("lambda").get_function_configuration(
            FunctionName=f"{read_config(REPOSITORY)['app_name']}-{stage}-{function}"
        )
        return _assume(deployed["Role"])

    def run_schedules(self) -> None:
        """Hand over the event of each schedule that is due, once for each moment; then return.

        A clock that is moved does this too, soon; `functions.wait_until_quiet` waits for the runs.
        """
        self._schedules.run_due()

    def prepare(self, *, project_dir: Path = REPOSITORY, stage: str = "dev") -> None:
        """What `backups setup --apply` makes, and for each server a key."""
        place = read_stage(stage, project=project_dir)
        self.incoming = place.settings.incoming_bucket
        self.vault = place.settings.vault_bucket
        self._set_up(project_dir, stage)
        iam = self.session(self.administrator).client("iam")
        for server in read_policy_of(project_dir).servers or (None,):
            key = iam.create_access_key(UserName=place.server_user(server))["AccessKey"]
            self.servers[server] = Credentials(
                access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"]
            )

    def deploy(
        self,
        *,
        project_dir: Path = REPOSITORY,
        stage: str = "dev",
        packages: Path | None = None,
    ) -> None:
        """Bring the app in with the real `chalice deploy`, and set up what waited for it.

        Raises DeployError with what Chalice printed.
        """
        deploy(
            project_dir,
            stage=stage,
            endpoint=self.endpoint,
            region=REGION,
            credentials=self.administrator,
            packages=packages,
        )
        self._set_up(project_dir, stage)

    def _set_up(self, project_dir: Path, stage: str) -> None:
        account = Account(
            session=self.session(self.administrator).boto3_session(), endpoint=self.endpoint
        )
        place = read_stage(stage, project=project_dir)
        settings = desired_settings(
            read_policy_of(project_dir),
            place,
            place.wishes,
            account=account.id,
            region=account.region,
        )
        for _ in execute(account, make_plan(account, settings, lock_named=False)):
            pass


def _left_to_a_hand(_function_arn: str, _event: Any) -> None:
    """Drop a schedule's event: a person runs the functions."""


def _assume(role: str) -> Credentials:
    """As Lambda itself, which is whom the roles of functions trust."""
    session = sts_backends[DEFAULT_ACCOUNT_ID]["aws"].assume_role(
        region_name=REGION,
        role_session_name="local",
        role_arn=role,
        policy="",
        duration=3600,
        external_id="",
    )
    return Credentials(
        access_key_id=session.access_key_id,
        secret_access_key=session.secret_access_key,
        session_token=session.session_token,
    )


_one_runs = threading.Lock()


@contextmanager
def _only_one() -> Iterator[None]:
    if not _one_runs.acquire(blocking=False):
        raise RuntimeError("A local cloud runs in this process already; end it first.")
    try:
        yield
    finally:
        _one_runs.release()
