"""The parts as real processes; PostgreSQL and Valkey stand for all, they start in a moment."""

import os
import signal
import socket
import time
from typing import Any

import boto3
import psycopg
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.local.failures import AlreadyRunning, ServiceFailed
from tests.infra.conftest import CLEAN, our_processes, until

pytestmark = pytest.mark.slow


def s3_client(env: dict[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=env["S3_ENDPOINT_URL"],
        aws_access_key_id=env["S3_ACCESS_KEY_ID"],
        aws_secret_access_key=env["S3_SECRET_ACCESS_KEY"],
        region_name=env["S3_REGION"],
        config=Config(s3={"addressing_style": "path"}),
    )


def write(env: dict[str, str], value: int) -> None:
    with psycopg.connect(env["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
        connection.execute("INSERT INTO kept VALUES (%s)", [value])


def read(env: dict[str, str]) -> list[int]:
    with psycopg.connect(env["DATABASE_URL"]) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM kept ORDER BY 1")]


def answers(env: dict[str, str]) -> bool:
    try:
        read(env)
        redis.Redis.from_url(env["VALKEY_URL"]).ping()
    except (psycopg.OperationalError, redis.RedisError):
        return False
    return True


def test_a_second_start_finds_its_data_at_the_same_address(make_stack, var):
    with make_stack() as stack:
        first = dict(stack.env)
        write(first, 1)
        redis.Redis.from_url(first["VALKEY_URL"]).set("kept", "yes")

    with make_stack() as stack:
        assert stack.env == first
        assert read(stack.env) == [1]
        assert redis.Redis.from_url(stack.env["VALKEY_URL"]).get("kept") == b"yes"
    assert our_processes(var) == set()


def test_the_database_never_trades_durability(make_stack):
    with make_stack("postgres") as stack, psycopg.connect(stack.env["DATABASE_URL"]) as connection:
        settings = connection.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s) ORDER BY 1",
            [["fsync", "full_page_writes", "synchronous_commit"]],
        ).fetchall()

    assert [setting for _name, setting in settings] == ["on", "on", "on"]


def test_the_application_is_no_superuser(make_stack):
    with make_stack("postgres") as stack, psycopg.connect(stack.env["DATABASE_URL"]) as connection:
        assert connection.execute(
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        ).fetchone() == (False,)


def test_secrets_are_for_their_owner_alone(make_stack, var):
    with make_stack() as stack:
        assert (var / "env.json").stat().st_mode & 0o777 == 0o600
        password = stack.env["VALKEY_URL"].split(":")[2].partition("@")[0]
        for pid in our_processes(var):
            with open(f"/proc/{pid}/cmdline") as arguments:
                assert password not in arguments.read()


def test_valkey_asks_for_its_password(make_stack):
    with make_stack("valkey") as stack:
        place = stack.env["VALKEY_URL"].rpartition("@")[2]
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(f"redis://{place}").ping()


def test_a_port_taken_meanwhile_is_exchanged(make_stack):
    with make_stack("valkey") as stack:
        port = int(stack.env["VALKEY_URL"].rpartition(":")[2].partition("/")[0])

    with socket.create_server(("127.0.0.1", port)), make_stack("valkey") as stack:
        assert f":{port}/" not in stack.env["VALKEY_URL"]
        assert redis.Redis.from_url(stack.env["VALKEY_URL"]).ping()


def test_two_installations_run_side_by_side(make_stack, var):
    with make_stack("valkey") as one, make_stack("valkey", var=var.parent / "other") as other:
        assert one.env["VALKEY_URL"] != other.env["VALKEY_URL"]


def test_the_same_folder_is_not_started_twice(make_stack):
    with make_stack("valkey") as stack:
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
            make_stack("valkey").start()
        assert redis.Redis.from_url(stack.env["VALKEY_URL"]).ping()


def test_a_part_that_fails_is_named_with_its_reason_and_its_log(make_stack, var):
    broken = var.parent / "broken"
    (broken / "valkey").mkdir(parents=True)
    (broken / "valkey/appendonlydir").write_text("not a folder")

    with pytest.raises(ServiceFailed) as failure:
        make_stack("postgres", "valkey", var=broken).start()

    assert failure.value.service == "valkey"
    assert "ended at its start" in failure.value.reason
    assert "appendonlydir" in failure.value.log_tail
    assert our_processes(broken) == set()


def test_a_part_that_cannot_even_be_prepared_is_named(make_stack, var):
    blocked = var.parent / "blocked"
    blocked.mkdir()
    (blocked / "valkey").write_text("in the way")

    with pytest.raises(ServiceFailed, match="valkey: could not be started"):
        make_stack("valkey", var=blocked).start()


def test_a_replaced_part_is_used_and_not_started(make_stack, var, lines):
    with make_stack("postgres") as real:
        environ = CLEAN | {"DATABASE_URL": real.env["DATABASE_URL"]}
        replaced = make_stack(environ=environ, var=var.parent / "replaced")
        with replaced as stack:
            assert stack.env["DATABASE_URL"] == real.env["DATABASE_URL"]
            assert stack.pid("postgres") is None
            assert stack.pid("valkey") is not None

    assert "postgres replaced by DATABASE_URL" in lines


def test_a_restart_keeps_the_address(make_stack):
    with make_stack() as stack:
        pid = stack.pid("valkey")

        stack.restart("valkey")

        assert stack.pid("valkey") not in (pid, None)
        assert redis.Redis.from_url(stack.env["VALKEY_URL"]).ping()


def test_a_part_can_be_added_to_a_running_installation(make_stack):
    with make_stack("postgres") as stack:
        env = stack.add("valkey")

        assert redis.Redis.from_url(env["VALKEY_URL"]).ping()


@pytest.mark.resilience
@pytest.mark.parametrize("service", ["postgres", "valkey"])
def test_what_is_killed_comes_back_with_its_data(make_stack, service):
    with make_stack(supervise=True) as stack:
        write(stack.env, 7)
        killed = stack.pid(service)

        os.kill(killed, signal.SIGKILL)

        started = time.monotonic()
        assert until(lambda: stack.pid(service) not in (killed, None), within_s=10)
        assert until(lambda: answers(stack.env), within_s=10)
        assert time.monotonic() - started < 10
        assert 7 in read(stack.env)


@pytest.mark.resilience
def test_without_supervision_a_dead_part_stays_dead(make_stack):
    with make_stack("valkey") as stack:
        os.kill(stack.pid("valkey"), signal.SIGKILL)

        assert until(lambda: stack.pid("valkey") is None)


def test_logs_of_earlier_starts_are_kept(make_stack, var):
    for _ in range(2):
        with make_stack("valkey"):
            pass

    assert (var / "log/valkey.log").exists()
    assert (var / "log/valkey.1.log").exists()


def test_the_port_that_was_asked_for_is_not_exchanged(make_stack):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environ = CLEAN | {"TAKT_BASE_URL": f"https://localhost:{port}"}

        with pytest.raises(ServiceFailed, match=f"web: port {port} is taken"):
            make_stack("valkey", "web", environ=environ).start()


@pytest.mark.resilience
def test_an_object_survives_the_end_of_its_server(make_stack):
    with make_stack("s3", supervise=True) as stack:
        client = s3_client(stack.env)
        client.create_bucket(Bucket="kept")
        client.put_object(Bucket="kept", Key="acme/model", Body=b"weights" * 100_000)

        killed = stack.pid("s3")
        os.kill(killed, signal.SIGKILL)

        assert until(lambda: stack.pid("s3") not in (killed, None), within_s=10)
        stack.wait_healthy("s3", 20)
        body = client.get_object(Bucket="kept", Key="acme/model")["Body"].read()
        assert body == b"weights" * 100_000


def test_the_object_store_checks_signatures(make_stack):
    with make_stack("s3") as stack, pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3_client(stack.env | {"S3_SECRET_ACCESS_KEY": "guessed"}).list_buckets()
