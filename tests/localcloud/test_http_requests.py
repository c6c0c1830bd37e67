from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Keys
from moto.s3.models import s3_backends

from tests.localcloud.gate import ADMINISTRATOR, send


def test_a_header_of_motos_chooses_no_other_account(gate):
    put = AWSRequest(method="PUT", url=f"{gate.endpoint}/backups3", data=b"")
    S3SigV4Auth(
        Keys(ADMINISTRATOR.access_key_id, ADMINISTRATOR.secret_access_key), "s3", "us-east-1"
    ).add_auth(put)
    assert send(put.prepare(), headers={"X-Moto-Account-Id": "999999999999"})[0] == 200
    assert s3_backends.bucket_accounts["backups3"] == ("aws", "123456789012")
