"""Which settings in config.json are used, and which are refused with one sentence."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from chalice.cli.factory import CLIFactory
from chalice.config import Config

from admin.config.names import OUR_KEYS, chalice_keys
from admin.config.reading import APP_NAME, CONFIG, FUNCTIONS, StageConfig, read_config
from admin.config.refusals import SHORTEST_TIMEOUT
from admin.stage import StageError, read_stage
from chalicelib.promotion.copy_plan import Tuning, seconds_to_end

BUCKETS = {"INCOMING_BUCKET": "in1", "VAULT_BUCKET": "va1"}
PROMOTE, SWEEP, AUDIT = FUNCTIONS


def config_of(
    *,
    top: dict[str, Any] | None = None,
    stage: dict[str, Any] | None = None,
    promote: dict[str, Any] | None = None,
    both: dict[str, Any] | None = None,
    variables: dict[str, Any] | None = None,
    name: str = "prod",
) -> dict[str, Any]:
    """A valid configuration with these settings in these places; None removes a setting."""
    functions = {
        function: {"iam_policy_file": f"policy-{name}-{function}.json", **(both or {})}
        for function in FUNCTIONS
    }
    functions[PROMOTE] |= promote or {}
    config = {
        "version": "2.0",
        "app_name": APP_NAME,
        "autogen_policy": False,
        "lambda_timeout": 900,
        "lambda_memory_size": 1024,
        "stages": {
            name: {
                "environment_variables": {**BUCKETS, **(variables or {})},
                "lambda_functions": functions,
                **(stage or {}),
            }
        },
        **(top or {}),
    }
    return {key: value for key, value in config.items() if value is not None}


def write(project: Path, config: Any) -> Path:
    (project / CONFIG).parent.mkdir()
    (project / CONFIG).write_text(json.dumps(config))
    return project


def refusal(project: Path, config: Any, *, stage: str = "prod") -> str:
    with pytest.raises(StageError) as refused:
        read_stage(stage, project=write(project, config))
    return str(refused.value)


# The file is read as Chalice reads it.


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(config_of(), id="as it ships"),
        pytest.param(config_of(top={"autogen_policy": None, "lambda_timeout": None}), id="unset"),
        pytest.param(
            config_of(
                top={
                    "lambda_timeout": 800,
                    "layers": ["top"],
                    "environment_variables": {"A": "top", "B": "top", "C": "top"},
                    "lambda_functions": {PROMOTE: {"lambda_timeout": 700, "layers": ["function"]}},
                },
                stage={"layers": ["stage"], "reserved_concurrency": 5},
                variables={"B": "stage", "C": "stage"},
                promote={"lambda_timeout": 600, "environment_variables": {"C": "function"}},
            ),
            id="in every place",
        ),
    ],
)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_it_is_read_as_chalice_s_own_commands_read_it(
    tmp_path: Path, config: dict[str, Any], function: str
) -> None:
    project = write(tmp_path, config)
    chalice = CLIFactory(str(project)).create_config_obj("prod").scope("prod", function)
    ours = StageConfig(read_config(project), "prod").of(function)
    for setting, _ in inspect.getmembers(Config, lambda member: isinstance(member, property)):
        # The paths of the project and its app, and an API that the app does not have.
        if setting not in {"project_dir", "chalice_app"} and "api_gateway" not in setting:
            assert getattr(ours, setting) == getattr(chalice, setting), setting


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"top": {"lambda_timeout": SHORTEST_TIMEOUT}}, id="a short timeout"),
        pytest.param({"top": {"lambda_timeout": 60}, "stage": {"lambda_timeout": 300}}, id="own"),
        pytest.param({"both": {"lambda_timeout": 300}}, id="a timeout for each function"),
        pytest.param(
            {"top": {"lambda_functions": {AUDIT: {"lambda_timeout": 300}}}},
            id="a timeout of the audit alone, which copies nothing",
        ),
        pytest.param({"promote": {"lambda_memory_size": 128}}, id="little memory"),
        pytest.param({"stage": {"lambda_memory_size": 10_240}}, id="much memory"),
        pytest.param({"top": {"layers": ["arn:aws:lambda:eu-west-1:1:layer:x:1"]}}, id="layers"),
        pytest.param({"stage": {"lambda_architecture": "x86_64"}}, id="another architecture"),
        pytest.param({"promote": {"reserved_concurrency": 5}}, id="reserved concurrency"),
        pytest.param({"top": {"manage_iam_role": True}}, id="Chalice's own role"),
        pytest.param({"top": {"autogen_policy": None}, "both": {"autogen_policy": False}}, id="no"),
        pytest.param({"top": {"automatic_layer": False, "xray": False}}, id="switched off"),
        pytest.param({"top": {"tags": {"team": "x"}, "log_retention_in_days": 30}}, id="more"),
        pytest.param(
            {"top": {"lambda_functions": {SWEEP: {"lambda_memory_size": 512}}}},
            id="a function of all stages",
        ),
    ],
)
def test_what_works_is_followed(tmp_path: Path, settings: dict[str, Any]) -> None:
    read_stage("prod", project=write(tmp_path, config_of(**settings)))


# Invalid settings


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        pytest.param(
            {"top": {"app_name": "backups"}},
            'app_name is "backups"; write "immutable-backups", because the names of roles, users, '
            "alarms and metrics begin with it",
            id="another app",
        ),
        pytest.param(
            {"top": {"app_name": None}}, 'app_name is not set; write "immutable-b', id="no app"
        ),
        *(
            pytest.param(
                settings,
                "promote has a role of your own; remove manage_iam_role and iam_role_arn, because "
                "only the role that Chalice creates, immutable-backups-prod-promote, gets the "
                "generated rights, and the vault's bucket policy allows no other to add backups",
                id=f"own role: {place}",
            )
            for place, settings in {
                "everywhere": {"top": {"manage_iam_role": False, "iam_role_arn": "arn:x"}},
                "in the stage": {"stage": {"manage_iam_role": False, "iam_role_arn": "arn:x"}},
                "in the function": {"promote": {"manage_iam_role": False, "iam_role_arn": "arn:x"}},
                "in the function of all stages": {
                    "top": {"lambda_functions": {PROMOTE: {"manage_iam_role": False}}}
                },
                "which Chalice ignores": {"promote": {"iam_role_arn": "arn:x"}},
            }.items()
        ),
        *(
            pytest.param(
                {"top": {"autogen_policy": value}},
                "promote would get an IAM policy that Chalice generates, without the rights for a "
                'copy; write "autogen_policy": false to use the one made from policy.toml',
                id=f"autogen_policy {value}",
            )
            for value in (True, None)
        ),
        pytest.param(
            {"stage": {"autogen_policy": True}}, "promote would get an IAM policy", id="of a stage"
        ),
        pytest.param(
            {"promote": {"iam_policy_file": "policy-staging-promote.json"}},
            "promote has policy-staging-promote.json in .chalice/config.json; add "
            '"promote": {"iam_policy_file": "policy-prod-promote.json"} to "lambda_functions" of '
            "the stage",
            id="another stage's file",
        ),
        pytest.param(
            {"top": {"lambda_timeout": None}},
            "lambda_timeout of promote is not set; write a number of seconds from 210 to 900",
            id="Chalice's own timeout, 60 seconds",
        ),
        *(
            pytest.param({"stage": {"lambda_timeout": value}}, sentence, id=f"timeout {value}")
            for value, sentence in (
                (
                    209,
                    "lambda_timeout of promote is 209; write a number of seconds from",
                ),
                (901, "lambda_timeout of promote is 901; write"),
                ("900", 'lambda_timeout of promote is "900"; write'),
                (True, "lambda_timeout of promote is true; write"),
                (300.0, "lambda_timeout of promote is 300.0; write"),
            )
        ),
        pytest.param(
            {"promote": {"lambda_timeout": 600}},
            "lambda_timeout is 600 for promote and 900 for sweep; set one number in the stage, "
            "because sweep uses its own to judge how much promote can copy",
            id="two timeouts",
        ),
        *(
            pytest.param({"top": {"lambda_memory_size": value}}, sentence, id=f"memory {value}")
            for value, sentence in (
                (
                    None,
                    "lambda_memory_size of promote is not set; write a number of MB from",
                ),
                (127, "lambda_memory_size of promote is 127; write a number of MB"),
                (
                    10_241,
                    "lambda_memory_size of promote is 10241; write a number of MB from 128 to",
                ),
                ("1024", 'lambda_memory_size of promote is "1024"; write a number of MB'),
            )
        ),
        pytest.param(
            {"stage": {"lambda_architecture": "arm"}},
            'lambda_architecture is "arm"; write "arm64" or "x86_64"',
            id="architecture",
        ),
        pytest.param(
            {"promote": {"reserved_concurrency": 0}},
            "reserved_concurrency of promote is 0, so it would never run; remove it",
            id="no concurrency",
        ),
        *(
            pytest.param(
                {"promote": {key: ["x-1"]}},
                "promote would run in a VPC, for which its role has no rights; remove subnet_ids "
                "and security_group_ids",
                id=key,
            )
            for key in ("subnet_ids", "security_group_ids")
        ),
        pytest.param(
            {"top": {"xray": True}},
            "X-Ray would trace promote, for which its role has no rights; remove xray",
            id="xray",
        ),
        pytest.param(
            {"top": {"automatic_layer": True}},
            "automatic_layer would ship the packages apart from the code, where backups check does "
            "not compare them; remove it",
            id="automatic_layer",
        ),
        pytest.param(
            {"stage": {"administrators": "arn:aws:iam::123456789012:user/me"}},
            'administrators is "arn:aws:iam::123456789012:user/me"; write a list of ARNs, in '
            "brackets",
            id="one administrator",
        ),
        pytest.param(
            {"stage": {"administrators": [1]}}, "administrators is [1]; write a list", id="no ARN"
        ),
        pytest.param(
            {"stage": {"alert_subscribers": "you@example.org"}},
            'alert_subscribers is "you@example.org"; write a list of addresses, in brackets',
            id="one subscriber",
        ),
    ],
)
def test_what_cannot_work_is_one_sentence(
    tmp_path: Path, settings: dict[str, Any], sentence: str
) -> None:
    said = refusal(tmp_path, config_of(**settings))
    assert said.startswith(f"stage prod: {sentence}")


def test_the_shortest_timeout_leaves_time_for_one_request() -> None:
    assert seconds_to_end(0, Tuning()) == SHORTEST_TIMEOUT


@pytest.mark.parametrize("endpoint", [None, "https://s3.example.org"])
def test_stage_dev_never_reaches_aws(tmp_path: Path, endpoint: str | None) -> None:
    config = config_of(name="dev", variables={"AWS_ENDPOINT_URL": endpoint} if endpoint else {})
    assert refusal(tmp_path, config, stage="dev") == (
        f"stage dev: AWS_ENDPOINT_URL is {endpoint or 'not set'}, but stage dev is the local "
        "cloud; write http://127.0.0.1:9000"
    )


# Unknown names


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        pytest.param(
            {"stage": {"adminstrators": []}},
            '"adminstrators" in the stage is not a setting; did you mean "administrators"?',
            id="one of ours",
        ),
        pytest.param(
            {"stage": {"lambda_timeuot": 1}},
            '"lambda_timeuot" in the stage is not a setting; did you mean "lambda_timeout"?',
            id="one of Chalice's",
        ),
        pytest.param(
            {"promote": {"lambda_memory": 1}},
            '"lambda_memory" in promote of the stage is not a setting; did you mean '
            '"lambda_memory_size"?',
            id="in a function",
        ),
        pytest.param(
            {"top": {"stagse": {}}},
            '"stagse" in config.json is not a setting; did you mean "stages"?',
            id="at the top",
        ),
        pytest.param(
            {"top": {"lambda_functions": {PROMOTE: {"lambda_timeuot": 1}}}},
            '"lambda_timeuot" in promote of all stages is not a setting; did you mean '
            '"lambda_timeout"?',
            id="in a function of all stages",
        ),
        pytest.param(
            {"stage": {"color": "red"}},
            '"color" in the stage is not a setting of Chalice or of this app; remove it',
            id="unlike any other",
        ),
        pytest.param(
            {"top": {"vault_lock": "none"}},
            '"vault_lock" in config.json is not read there; move it into the stage',
            id="ours at the top",
        ),
        pytest.param(
            {"promote": {"lambda_architecture": "arm64"}},
            '"lambda_architecture" in promote of the stage is not read there; move it into the '
            "stage",
            id="Chalice's in a function",
        ),
        pytest.param(
            {"stage": {"app_name": APP_NAME}},
            '"app_name" in the stage is not read there; move it to the top of the file',
            id="Chalice's in a stage",
        ),
        pytest.param(
            {"top": {"lambda_functions": {PROMOTE: {"environment_variables": {}}}}},
            '"environment_variables" in promote of all stages is not read there; move it into the '
            "stage",
            id="an environment where Chalice reads none",
        ),
        pytest.param(
            {"top": {"lambda_functions": {"swep": {}}}},
            '"swep" in "lambda_functions" of all stages is not a setting; did you mean "sweep"?',
            id="a function",
        ),
        *(
            pytest.param({place: {key: value}}, f"{where} must be an object, in braces", id=where)
            for place, key, value, where in (
                ("stage", "lambda_functions", [], '"lambda_functions" of the stage'),
                ("stage", "environment_variables", [], '"environment_variables" of the stage'),
                ("top", "lambda_functions", {SWEEP: 1}, "sweep of all stages"),
            )
        ),
    ],
)
def test_a_key_that_nobody_reads_is_one_sentence(
    tmp_path: Path, settings: dict[str, Any], sentence: str
) -> None:
    assert refusal(tmp_path, config_of(**settings)) == f"stage prod: {sentence}"


@pytest.mark.parametrize("config", [[], {}, {"stages": []}, {"stages": {"prod": 1}}], ids=str)
def test_a_file_of_another_shape_is_one_sentence(tmp_path: Path, config: Any) -> None:
    said = refusal(tmp_path, config)
    assert "cannot be read as Chalice's" in said or "must be an object, in braces" in said


def test_what_chalice_reads_is_found_out_from_chalice() -> None:
    """Each setting that Chalice documents in several places, and those places."""
    keys = chalice_keys()
    assert {"app_name", "version", "stages"} <= keys.top - keys.stage
    assert {"lambda_architecture", "automatic_layer"} <= keys.top & keys.stage - keys.function
    assert {"lambda_timeout", "iam_role_arn", "xray"} <= keys.top & keys.stage & keys.function
    assert keys.function - keys.function_of_all_stages == {"environment_variables", "tags"}
    assert not OUR_KEYS & keys.top


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("VAULT_ONWER", "VAULT_OWNER"),
        ("VALUT_OWNER", "VAULT_OWNER"),
        ("VAULTOWNER", "VAULT_OWNER"),
        ("vault_owner", "VAULT_OWNER"),
        ("VAULT_ACCOUNT", "VAULT_OWNER"),
        ("INCOMMING_OWNER", "INCOMING_OWNER"),
        ("INCOMING_BUCKET_NAME", "INCOMING_BUCKET"),
        ("ALERT_TOPIC", "ALERT_TOPIC_ARN"),
        ("HEARTBEAT", "HEARTBEAT_URL"),
        ("AWS_ENDPONT_URL", "AWS_ENDPOINT_URL"),
    ],
)
@pytest.mark.parametrize("place", ["stage", "top"])
def test_a_variable_like_one_of_ours_is_refused_with_the_nearest(
    tmp_path: Path, place: str, variable: str, near: str
) -> None:
    variables = {variable: "123456789012"}
    config = config_of(variables=variables if place == "stage" else {})
    if place == "top":
        config["environment_variables"] = variables
    assert refusal(tmp_path, config) == (
        f'stage prod: {variable} in "environment_variables" of '
        f"{'the stage' if place == 'stage' else 'all stages'} is not a variable of this app; did "
        f"you mean {near}?"
    )


def test_a_function_s_own_variable_like_one_of_ours_is_refused(tmp_path: Path) -> None:
    config = config_of(promote={"environment_variables": {"VAULT_ONWER": "123456789012"}})
    assert refusal(tmp_path, config).startswith(
        'stage prod: VAULT_ONWER in "environment_variables" of promote of the stage is not'
    )


@pytest.mark.parametrize(
    "variable",
    [
        *("TZ", "LOG_LEVEL", "HTTPS_PROXY", "POWERTOOLS_LOG_LEVEL", "PYTHONWARNINGS", "BUCKET"),
        *("AWS_MAX_ATTEMPTS", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_LAMBDA", "OWNER"),
    ],
)
def test_other_variables_pass(tmp_path: Path, variable: str) -> None:
    project = write(tmp_path, config_of(variables={variable: "x"}))
    assert read_stage("prod", project=project).environment == {**BUCKETS, variable: "x"}


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        pytest.param(
            {"BACKUPS_DEV_ROUTES": "1"},
            "BACKUPS_DEV_ROUTES is for the shell that runs chalice local; remove it from "
            '"environment_variables" of the stage',
            id="of chalice local",
        ),
        pytest.param(
            {"AWS_REGION": "eu-west-1"},
            'AWS_REGION is set by Lambda alone; remove it from "environment_variables" of the '
            "stage",
            id="Lambda's",
        ),
        pytest.param(
            {"VAULT_BUCKET": 5}, "VAULT_BUCKET is 5; write a string, in quotes", id="a number"
        ),
    ],
)
def test_a_variable_that_cannot_be_set_is_one_sentence(
    tmp_path: Path, variables: dict[str, Any], sentence: str
) -> None:
    assert refusal(tmp_path, config_of(variables=variables)) == f"stage prod: {sentence}"


# Two stages.


def with_stage(name: str, **variables: str) -> dict[str, Any]:
    """The configuration with a second stage of that name."""
    config = config_of()
    config["stages"] |= config_of(name=name, variables=variables)["stages"]
    return config


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        pytest.param(
            {"INCOMING_BUCKET": "in2"},
            "va1 is its VAULT_BUCKET and also the VAULT_BUCKET of stage staging",
            id="the same vault",
        ),
        pytest.param(
            {"VAULT_BUCKET": "va2"},
            "in1 is its INCOMING_BUCKET and also the INCOMING_BUCKET of stage staging",
            id="the same incoming",
        ),
        pytest.param(
            {"INCOMING_BUCKET": "in2", "VAULT_BUCKET": "in1"},
            "in1 is its INCOMING_BUCKET and also the VAULT_BUCKET of stage staging",
            id="its incoming is another's vault",
        ),
        pytest.param(
            {"INCOMING_BUCKET": "va1", "VAULT_BUCKET": "va2"},
            "va1 is its VAULT_BUCKET and also the INCOMING_BUCKET of stage staging",
            id="its vault is another's incoming",
        ),
    ],
)
def test_a_bucket_of_another_stage_is_refused(
    tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    assert refusal(tmp_path, with_stage("staging", **variables)) == (
        f"stage prod: {sentence}; give each stage two buckets of its own"
    )


def test_a_bucket_that_all_stages_get_from_the_top_is_refused(tmp_path: Path) -> None:
    config = with_stage("staging", INCOMING_BUCKET="in2")
    for stage in config["stages"].values():
        del stage["environment_variables"]["VAULT_BUCKET"]
    config["environment_variables"] = {"VAULT_BUCKET": "va1"}
    assert "va1 is its VAULT_BUCKET and also" in refusal(tmp_path, config)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(with_stage("staging", INCOMING_BUCKET="in2", VAULT_BUCKET="va2"), id="own"),
        # The local cloud's buckets are different ones.
        pytest.param(with_stage("dev", AWS_ENDPOINT_URL="http://127.0.0.1:9000"), id="dev"),
        pytest.param(
            config_of() | {"stages": {**config_of()["stages"], "staging": None}}, id="begun"
        ),
    ],
)
def test_a_stage_with_its_own_buckets_is_read(tmp_path: Path, config: dict[str, Any]) -> None:
    project = write(tmp_path, config)
    read_stage("prod", project=project)
    if "dev" in config["stages"]:
        read_stage("dev", project=project)


def test_a_copy_of_the_example_is_read(tmp_path: Path) -> None:
    """The next step then reports that its buckets are only examples."""
    examples = {"INCOMING_BUCKET": "change-me-1", "VAULT_BUCKET": "change-me-2"}
    config = config_of(variables=examples)
    config["stages"] |= config_of(name="staging", variables=examples)["stages"]
    read_stage("staging", project=write(tmp_path, config))
