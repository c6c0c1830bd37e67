"""SNS: who publishes to a topic, what is counted, and how messages reach their subscribers."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unittest import mock

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.utils import iso_8601_datetime_with_milliseconds
from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.models import Subscription, Topic, sns_backends

from localcloud.clock import clock, utcnow
from localcloud.iam.topic_policies import denial, find_topic
from localcloud.sns.posts import Post, Posts

LONGEST_SUBJECT = 99


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message that a topic has accepted."""

    at: datetime
    topic_arn: str
    subject: str | None
    body: str


class Topics:
    """The topics of moto's SNS.

    `on_message` gets each message that a topic accepts, and `tell` a line for each that a topic's
    policy refuses or that a subscriber does not accept.
    """

    def __init__(
        self, *, tell: Callable[[str], None], on_message: Callable[[Message], None]
    ) -> None:
        self._tell = tell
        self._on_message = on_message
        self._posts = Posts(tell=tell)

    def publish(
        self,
        topic_arn: str,
        body: dict[str, Any],
        *,
        subject: str | None = None,
        service: str,
        source: str,
        account: str,
    ) -> None:
        """Publish for a service and the source, an ARN, if the topic's policy allows it."""
        problem = denial(topic_arn, service=service, source=source, account=account)
        topic = find_topic(topic_arn)
        if problem or topic is None:
            self._tell(f"{source.rpartition(':')[2]}: message not delivered: {problem}")
        else:
            topic.publish(json.dumps(body), subject=subject and subject[:LONGEST_SUBJECT])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Report and count messages, and post them to subscribers, until the block ends.

        moto posts while the publisher waits, and fails if a subscriber does. It sends subscribers
        no subject and no SNS headers.
        """
        # moto's backend reads AWS_PROFILE on first use, so it is used here, not later in a thread.
        sns_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]
        publish, deliver = Topic.publish, Subscription.publish

        def publish_and_tell(topic: Topic, message: str, **options: Any) -> str:
            _refuse_bad_subject(options.get("subject"))
            message_id = publish(topic, message, **options)
            accepted = Message(
                at=clock.now(),
                topic_arn=topic.arn,
                subject=options.get("subject"),
                body=message,
            )
            self._on_message(accepted)
            return message_id

        def deliver_or_post(
            subscription: Subscription, message: str, message_id: str, **options: Any
        ) -> None:
            if subscription.protocol in ("http", "https"):
                self._posts.send(_post(subscription, message, message_id, options.get("subject")))
            else:
                deliver(subscription, message, message_id, **options)

        with (
            self._posts.running(),
            mock.patch.object(Topic, "publish", publish_and_tell),
            mock.patch.object(Subscription, "publish", deliver_or_post),
        ):
            yield


def _refuse_bad_subject(subject: str | None) -> None:
    """SNS API reference, Publish: no line breaks or control characters, and under 100 characters.

    moto accepts them.
    """
    if subject is not None and (len(subject) > LONGEST_SUBJECT or not subject.isprintable()):
        raise SNSInvalidParameter("Invalid parameter: Subject")


def _post(subscription: Subscription, message: str, message_id: str, subject: str | None) -> Post:
    """SNS developer guide, "HTTP/HTTPS notification JSON format". Here nothing is signed."""
    document = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": subscription.topic.arn,
        **({} if subject is None else {"Subject": subject}),
        "Message": message,
        "Timestamp": iso_8601_datetime_with_milliseconds(utcnow()),
    }
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": message_id,
        "x-amz-sns-topic-arn": subscription.topic.arn,
        "x-amz-sns-subscription-arn": subscription.arn,
    }
    return Post(url=subscription.endpoint, body=json.dumps(document).encode(), headers=headers)
