"""The official client of InfluxDB against the whole application, served over HTTP."""

import time
import urllib.request
from collections.abc import Iterator

import pytest
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write.point import Point
from influxdb_client.client.write.retry import WritesRetry
from influxdb_client.client.write_api import SYNCHRONOUS, WriteApi, WriteOptions
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from tests.telemetry.ingest.conftest import Sender, Server
from tests.telemetry.ingest.stored import current

pytestmark = pytest.mark.slow
T0_S = 1_700_000_000


@pytest.fixture
def client(server: Server, mill: Sender) -> Iterator[InfluxDBClient]:
    # As its documentation advises; a test before may have cost the server its database.
    again = WritesRetry(total=5, retry_interval=1, allowed_methods=["POST"])
    with InfluxDBClient(
        url=server.url, token=mill.token, org="any", timeout=10_000, retries=again
    ) as opened:
        yield opened


@pytest.fixture
def writer(client: InfluxDBClient) -> WriteApi:
    return client.write_api(write_options=SYNCHRONOUS)


async def stored(sql, sender: Sender) -> dict[str, list[float]]:
    """What is stored of a device: its values by key, in the order of their times."""
    found: dict[str, list[float]] = {}
    for _, key, value in await current(sql, sender):
        assert isinstance(value, float | bool)
        found.setdefault(key, []).append(value)
    return found


async def test_points_are_stored_under_measurement_and_field(writer, mill: Sender, sql):
    point = (
        Point("spindle").tag("host", "gw1").tag("axis", "x")
        .field("load", 58.5).field("n_parts", 7).field("on", True)
        .time(T0_S, WritePrecision.S)
    )  # fmt: skip

    writer.write(bucket="any", record=point)

    assert await stored(sql, mill) == {
        "spindle.load{axis=x}": [58.5],
        "spindle.n_parts{axis=x}": [7.0],
        "spindle.on{axis=x}": [1.0],
    }


@pytest.mark.parametrize("precision", ["s", "ms", "us", "ns"])
async def test_every_precision_names_the_same_time(writer, mill: Sender, sql, precision: str):
    factor = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[precision]

    writer.write(bucket="any", record=f"a value=1.5 {T0_S * factor}", write_precision=precision)

    at = await sql.fetchval("SELECT ts FROM mills.reading_hot WHERE device_id = $1", mill.device_id)
    assert at.timestamp() == T0_S


async def test_bad_lines_are_named_and_the_good_ones_are_stored(writer, mill: Sender, sql):
    lines = [f"a value=1 {T0_S}000000000", "a value=NaN", "no fields", f"a value=2 {T0_S}000001000"]

    with pytest.raises(ApiException) as refused:
        writer.write(bucket="any", record=lines)

    assert refused.value.status == 400
    assert "line 2" in refused.value.body
    assert "line 3" in refused.value.body
    assert '"code":"invalid"' in refused.value.body
    assert await stored(sql, mill) == {"a": [1.0, 2.0]}


def test_an_unknown_token_is_401_in_influxdb_s_form(server: Server):
    with (
        InfluxDBClient(url=server.url, token="takt_dev_nobody", org="any") as client,
        pytest.raises(ApiException) as refused,
    ):
        client.write_api(write_options=SYNCHRONOUS).write(bucket="any", record="a value=1")

    assert refused.value.status == 401
    assert '"code":"unauthorized"' in refused.value.body


async def test_the_batching_writer_with_gzip_loses_nothing(server: Server, mill: Sender, sql):
    failures: list[object] = []
    with (
        InfluxDBClient(
            url=server.url, token=mill.token, org="any", enable_gzip=True, timeout=20_000
        ) as client,
        client.write_api(
            write_options=WriteOptions(batch_size=500, flush_interval=200),
            error_callback=lambda _conf, _data, error: failures.append(error),
        ) as writer,
    ):
        for i in range(3_000):
            writer.write("any", record=f"a value={i}.5 {T0_S + i}000000000")

    assert failures == []
    assert (await stored(sql, mill))["a"] == [i + 0.5 for i in range(3_000)]


async def test_the_batching_writer_tells_of_a_bad_line(server: Server, mill: Sender, sql):
    failures: list[str] = []
    with (
        InfluxDBClient(url=server.url, token=mill.token, org="any") as client,
        client.write_api(
            write_options=WriteOptions(batch_size=3, flush_interval=200),
            error_callback=lambda _conf, _data, error: failures.append(error.body),
        ) as writer,
    ):
        for line in (f"a value=1 {T0_S}000000000", "a value=", f"a value=2 {T0_S}000001000"):
            writer.write("any", record=line)

    assert len(failures) == 1
    assert "line 2" in failures[0]
    assert await stored(sql, mill) == {"a": [1.0, 2.0]}


def test_who_asks_whether_anybody_is_there_is_told(client: InfluxDBClient, server: Server):
    assert client.ping()
    assert client.version()
    for path in ("/ping", "/api/v2/ping", "/health"):
        started = time.monotonic()
        request = urllib.request.Request(server.url + path, headers={"Host": "localhost:8443"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status in (200, 204)
        assert time.monotonic() - started < 2
