import pytest

from tests.localcloud.authorized_moto import is_allowed, refusal


def test_only_a_role_with_permission_publishes_to_a_topic(gate):
    topic = gate.client("sns").create_topic(Name="alerts")["TopicArn"]
    audit = gate.role({"Effect": "Allow", "Action": "sns:Publish", "Resource": topic})
    sns = gate.client("sns", audit)
    assert is_allowed(sns.publish, TopicArn=topic, Message="m")
    assert not is_allowed(sns.publish, TopicArn=f"{topic}-of-others", Message="m")


@pytest.mark.parametrize(
    "named", ["promote", "arn:aws:lambda:us-east-1:123456789012:function:promote"]
)
def test_only_a_role_with_permission_invokes_a_function(gate, named):
    promote = "arn:aws:lambda:us-east-1:123456789012:function:promote"
    sweep = gate.role({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": promote})
    functions = gate.client("lambda", sweep)
    # The request was allowed: it failed because the function does not exist.
    assert refusal(functions.invoke, FunctionName=named)[0] == 404
    assert refusal(functions.invoke, FunctionName="audit")[0] == 403


def test_a_request_with_two_actions_is_denied(gate):
    """Otherwise moto could execute a different action from the one that was authorized."""
    web1 = gate.user({"Effect": "Allow", "Action": "lambda:GetAccountSettings", "Resource": "*"})
    functions = gate.client("lambda", web1)

    def name_another(request, **_):
        request.url += "?Action=GetAccountSettings"

    functions.meta.events.register("before-sign", name_another)
    assert refusal(functions.list_functions)[0] == 403
