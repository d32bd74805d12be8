"""ThingsBoard's HTTP device API: telemetry, attributes, and the token that rides in the path."""

import asyncio
import json
from http.client import HTTPConnection

import pytest
from django.db import connection
from django.urls import Resolver404, resolve

from telemetry import selectors
from tests.telemetry.ingest.conftest import Door, Plant, Sender, Server

TS = 1_700_000_000_000


def path(sender: Sender, name: str = "telemetry") -> str:
    return f"/api/v1/{sender.token}/{name}"


async def n_rows(sql, sender: Sender):
    return await sql.fetchval(
        f"SELECT count(*) FROM {sender.schema}.reading_hot WHERE device_id = $1", sender.device_id
    )


@pytest.mark.parametrize(
    ("body", "n_stored"),
    [
        ({"temperature": 21.5, "door": True, "state": "ON"}, 1),
        ({"ts": TS, "values": {"temperature": 21.5}}, 1),
        ([{"ts": TS, "values": {"a": 1}}, {"ts": TS + 1, "values": {"a": 2}}], 2),
        ([{"temperature": 21.5}, {"humidity": 40}], 2),
        ([{"ts": TS, "values": {"a": 1}}, {"humidity": 40}], 2),
        ({"a": 1, "b": None}, 1),
        ({"ts": 5, "a": 1}, 1),
        ([], 0),
    ],
)
async def test_each_form_is_stored_and_answered_200_with_nothing(
    door: Door, mill: Sender, sql, body, n_stored: int
):
    answer = await door.post(body, path=path(mill))

    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, {}, "0")
    assert await n_rows(sql, mill) == n_stored


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([{"ts": TS, "values": {"a": 1}}, {"ts": "now", "values": {"a": 2}}], "bad_time"),
        ([{"ts": TS, "values": {"a": 1}}, {"a": [1]}], "wrong_type"),
        ([{"ts": TS, "values": {"a": 1}}, {}], "no_values"),
    ],
)
async def test_what_was_not_stored_is_named(door: Door, mill: Sender, sql, body, code: str):
    answer = await door.post(body, path=path(mill))

    assert (answer.status, answer.counts) == (400, (2, 1, 0, 1))
    assert (answer.body["rejected"][0]["index"], answer.body["rejected"][0]["code"]) == (1, code)
    assert await n_rows(sql, mill) == 1


async def test_broken_json_is_400_and_an_unknown_token_401(door: Door, mill: Sender):
    assert (await door.post(b"{", path=path(mill))).status == 400
    for token in ("takt_dev_unknown", "A1_TEST_TOKEN", "%20"):
        answer = await door.post({"a": 1}, path=f"/api/v1/{token}/telemetry")
        assert answer.status == 401, token


async def test_a_header_with_another_token_changes_nothing(
    door: Door, mill: Sender, oven: Sender, sql
):
    await door.post({"a": 1}, path=path(mill), sender=oven)

    assert (await n_rows(sql, mill), await n_rows(sql, oven)) == (1, 0)


async def test_tokens_in_paths_can_be_switched_off_for_a_factory(
    door: Door, mill: Sender, oven: Sender, set_limits
):
    await set_limits("mills", token_in_path_allowed=False)

    refused = await door.post({"a": 1}, path=path(mill))
    attributes = await door.post({"a": 1}, path=path(mill, "attributes"))

    assert (refused.status, refused.body["code"]) == (401, "token_in_path")
    assert attributes.status == 401
    assert (await door.post({"a": 1}, path=path(oven))).status == 200
    assert (await door.post({"values": {"a": 1}}, sender=mill)).status == 200


@pytest.mark.parametrize("urls", ["config.urls_factory", "config.urls_public"])
@pytest.mark.parametrize("name", ["telemetry", "attributes"])
def test_no_page_or_route_of_ours_lies_at_these_addresses(urls: str, name: str):
    for first in ("devices", "machines", "takt_dev_x", "latest", "telemetry"):
        with pytest.raises(Resolver404):
            resolve(f"/api/v1/{first}/{name}", urls)


# -- attributes ----------------------------------------------------------------------------------


async def test_attributes_come_back_by_name(door: Door, mill: Sender, oven: Sender, plant: Plant):
    sent = {"firmware": "1.2.3", "port": 502, "is_gateway": True, "axes": ["x", "y"]}

    assert (await door.post(sent, path=path(mill, "attributes"))).status == 200
    assert (await door.post({"port": 503}, path=path(mill, "attributes"))).status == 200

    async def get(query: str, sender: Sender = mill):
        return (await door.post(b"", method="GET", path=path(sender, "attributes") + query)).body

    expected = {**sent, "port": 503}
    assert await get("") == {"client": expected}
    assert await get("?clientKeys=port,firmware&sharedKeys=x") == {
        "client": {"port": 503, "firmware": "1.2.3"}
    }
    assert await get("?clientKeys=unheard") == {}
    assert await get("?sharedKeys=port") == {}
    assert await get("", oven) == {}

    def selected():
        with plant.inside("mills"):
            try:
                return {a.key: a.value for a in selectors.attributes_of(mill.device_id)}
            finally:
                connection.close()  # the thread's own

    assert await asyncio.to_thread(selected) == expected


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[1]", "malformed_json"), (b"{", "malformed_json"), (b'{"a": NaN}', "malformed_json"),
        (b'{"a": "\\ud800"}', "malformed_json"), (b"[" * 100_000, "malformed_json"),
        (b'{"": 1}', "bad_key"), (b'{"' + b"k" * 129 + b'": 1}', "key_too_long"),
        (b'{"a": "' + b"t" * 2_000 + b'"}', "bad_attribute"),
        (b'{"a": "\\u0000"}', "bad_attribute"),
        (json.dumps({f"k{i}": i for i in range(101)}).encode(), "too_many_attributes"),
    ],
)  # fmt: skip
async def test_attributes_that_cannot_be_kept_are_named(
    door: Door, mill: Sender, sql, body: bytes, code: str
):
    answer = await door.post(body, path=path(mill, "attributes"))

    assert (answer.status, answer.body["code"]) == (400, code)
    n = await sql.fetchval(
        "SELECT count(*) FROM mills.device_attribute WHERE device_id = $1", mill.device_id
    )
    assert n == 0


async def test_fifty_at_once_never_pass_the_limit_of_attributes(door: Door, mill: Sender, sql):
    answers = await asyncio.gather(
        *[
            door.post({f"a{i}_{j}": j for j in range(10)}, path=path(mill, "attributes"))
            for i in range(50)
        ]
    )

    n = await sql.fetchval(
        "SELECT count(*) FROM mills.device_attribute WHERE device_id = $1", mill.device_id
    )
    assert n == 100
    assert sorted(answer.status for answer in answers) == [200] * 10 + [400] * 40


# -- served --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_token_in_a_path_is_in_no_log(server: Server, mill: Sender):
    secret = mill.token.removeprefix("takt_dev_")
    encoded = mill.token.replace("_", "%5F")
    paths = [
        ("POST", path(mill)), ("POST", path(mill, "attributes")), ("POST", path(mill) + "/"),
        ("GET", path(mill, "attributes") + f"?clientKeys={mill.token}"), ("GET", path(mill)),
        ("POST", path(mill, "rpc")), ("GET", path(mill, "nothing")),
        ("POST", f"/api/v1/{encoded}/telemetry"), ("POST", f"/api/v1/{encoded}/rpc"),
        ("GET", f"/{mill.token}?p={mill.token}"), ("POST", f"/write?u=x&p={mill.token}"),
    ]  # fmt: skip
    statuses = []
    for method, address in paths:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request(method, address, b'{"a": 1}', {"Host": "localhost:8443"})
        statuses.append(connection.getresponse().status)
        connection.close()

    log = server.log.read_text()

    assert statuses[:2] == [200, 200]
    assert "/api/v1/takt_dev_***/telemetry" in log
    assert secret not in log
