from tests.localcloud.gate import allow, send, signed


def test_a_host_name_names_no_bucket(gate):
    web1 = gate.user(allow("s3:PutObject", "backups1/*"))
    elsewhere = {"Host": "backups2.s3.amazonaws.com"}
    assert send(signed(gate, web1, headers=elsewhere))[0] == 403
