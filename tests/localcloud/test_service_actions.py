import pytest

from tests.localcloud.gate import is_allowed, refusal


def test_a_topic_is_published_to_by_who_may(gate):
    topic = gate.client("sns").create_topic(Name="alerts")["TopicArn"]
    audit = gate.role({"Effect": "Allow", "Action": "sns:Publish", "Resource": topic})
    sns = gate.client("sns", audit)
    assert is_allowed(sns.publish, TopicArn=topic, Message="m")
    assert not is_allowed(sns.publish, TopicArn=f"{topic}-of-others", Message="m")


@pytest.mark.parametrize(
    "named", ["promote", "arn:aws:lambda:us-east-1:123456789012:function:promote"]
)
def test_a_function_is_invoked_by_who_may(gate, named):
    promote = "arn:aws:lambda:us-east-1:123456789012:function:promote"
    sweep = gate.role({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": promote})
    functions = gate.client("lambda", sweep)
    # It passed: there is no such function.
    assert refusal(functions.invoke, FunctionName=named)[0] == 404
    assert refusal(functions.invoke, FunctionName="audit")[0] == 403


def test_an_action_is_told_from_requests_that_have_one_only(gate):
    """Else moto might do another than the one that was allowed."""
    web1 = gate.user({"Effect": "Allow", "Action": "lambda:GetAccountSettings", "Resource": "*"})
    functions = gate.client("lambda", web1)

    def name_another(request, **_):
        request.url += "?Action=GetAccountSettings"

    functions.meta.events.register("before-sign", name_another)
    assert refusal(functions.list_functions)[0] == 403
