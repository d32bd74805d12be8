"""How many readings a second, counted for all web processes together.

The count lies in Valkey as a token bucket, changed by one atomic script. A process takes tokens
in blocks and hands them out from its own memory, so that the common request asks nobody; near
the end of a bucket it takes only what a request needs, so that the limit is exact. While Valkey
is away each process counts for itself, from the level it saw last.

Answers carry the fields of https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
as they were when the last block was taken.
"""

import asyncio
import contextlib
import time
from typing import Any

import structlog
from redis import asyncio as valkey
from redis.exceptions import RedisError

from telemetry.ingest.errors import Headers, too_fast
from telemetry.ingest.limits import TokenBucket

log = structlog.get_logger(__name__)

# Long enough for an event loop that is busy decoding on a busy machine.
TIMEOUT_S = 3.0
N_CONNECTIONS = 8
# So often Valkey is tried while it is away; until it answers, no request waits for it.
PROBE_S = 1.0
# A block is this much of a second's rate, and never taken from the last quarter of a bucket.
BLOCK_S = 1.0
_RESERVE = 0.25
# A refusal is repeated from memory for so long at most.
_SHUT_S = 0.5

_AWAY = (RedisError, OSError, TimeoutError)

# KEYS[1]: the bucket. ARGV: rate, burst, tokens given back, needed, block, reserve.
# Answers {granted, level after, seconds to wait when nothing was granted} as texts: Valkey
# cuts numbers to whole ones. A bucket that was forgotten is full.
_TAKE = """
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local back, need, block = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local kept = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = burst
if kept[1] then
  level = tonumber(kept[1]) + math.max(0, now - tonumber(kept[2])) * rate
end
level = math.min(burst, level + back)
local granted, wait = 0, 0
if level >= need or level >= burst then
  granted = need
  if level - need - block >= tonumber(ARGV[6]) then granted = need + block end
  level = level - granted
else
  wait = (math.min(need, burst) - level) / rate
end
redis.call('HSET', KEYS[1], 'level', tostring(level), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(1000 * (burst - level) / rate) + 60000)
return {tostring(granted), tostring(level), tostring(wait)}
"""


class Rate:
    """One limit, of a device or a factory, as this process knows it."""

    __slots__ = ("burst", "headers", "key", "lock", "own", "rate", "shut", "tokens", "whose")

    def __init__(self, *, whose: str, key: str, rate: float, burst: float) -> None:
        self.whose = whose
        self.key = key
        self.rate = rate
        self.burst = burst
        # Taken from the shared bucket and not yet used.
        self.tokens = 0.0
        self.own = TokenBucket(rate=rate, burst=burst)
        # Until when (monotonic) a request of at least so many readings is refused unasked, and
        # when it would be taken.
        self.shut = (0.0, 0, 0.0)
        self.lock = asyncio.Lock()
        self.headers: Headers = ()
        self.show(burst)

    def take(self, n: int) -> bool:
        """Take from the block in memory; False where it does not hold enough."""
        if self.tokens >= n:
            self.tokens -= n
            return True
        return False

    def show(self, level: float) -> None:
        left = max(0, int(level + self.tokens))
        full_s = int((self.burst - left) / self.rate) + 1
        # A window is the time in which an empty bucket fills.
        policy = f'"{self.whose}";q={self.burst:.0f};w={self.burst / self.rate:.0f}'
        self.headers = (
            (b"ratelimit-policy", policy.encode()),
            (b"ratelimit", f'"{self.whose}";r={left};t={full_s}'.encode()),
        )


class Rates:
    """Asks the shared buckets. One client a process."""

    def __init__(self, *, valkey_url: str) -> None:
        # A pool that waits: the ordinary one raises when a hundred factories ask at once.
        pool: Any = valkey.BlockingConnectionPool.from_url(
            valkey_url,
            max_connections=N_CONNECTIONS,
            timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=None,
        )
        self._client: Any = valkey.Redis.from_pool(pool)
        self._script = self._client.register_script(_TAKE)
        # Runs while Valkey is away.
        self._probing: asyncio.Task[None] | None = None

    async def take(self, limit: Rate, n: int) -> None:
        """Take `n` readings' worth, asking Valkey where the block in memory is used up.

        Raises:
            RequestRefused: 429, with the time to wait.
        """
        until, least, ready_at = limit.shut
        now = time.monotonic()
        if n >= least and now < until:
            raise _refusal(limit, ready_at - now)
        async with limit.lock:
            # Whoever held the lock before may have brought a block.
            if not limit.take(n):
                await self._take_more(limit, n)

    async def _take_more(self, limit: Rate, n: int) -> None:
        if self.is_away:
            wait_s = limit.own.take(n, time.monotonic())
        else:
            try:
                wait_s = await self._ask(limit, n)
            except _AWAY as error:
                log.warning("telemetry.rates.away", error=type(error).__name__)
                if not self.is_away:
                    self._probing = asyncio.create_task(self._probe())
                wait_s = limit.own.take(n, time.monotonic())
        if wait_s:
            now = time.monotonic()
            limit.shut = (now + min(_SHUT_S, wait_s), n, now + wait_s)
            raise _refusal(limit, wait_s)

    async def _ask(self, limit: Rate, n: int) -> float:
        """Return 0.0, or the seconds to wait when nothing was taken."""
        back, limit.tokens = limit.tokens, 0.0
        block = int(limit.rate * BLOCK_S)
        reserve = limit.burst * _RESERVE
        answer = await self._script(
            keys=[limit.key], args=[limit.rate, limit.burst, back, n, block, reserve]
        )
        granted, level, wait_s = map(float, answer)
        if granted:
            limit.tokens = granted - n
        limit.own.refill(level, time.monotonic())
        limit.show(level)
        return wait_s

    @property
    def is_away(self) -> bool:
        return self._probing is not None and not self._probing.done()

    async def _probe(self) -> None:
        """Return when Valkey answers again."""
        while True:
            await asyncio.sleep(PROBE_S)
            with contextlib.suppress(*_AWAY):
                await self._client.ping()
                return

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
        await self._client.aclose()


def _refusal(limit: Rate, wait_s: float) -> Exception:
    return too_fast(
        f"The {limit.whose} sends more than {limit.rate:g} readings a second.",
        retry_after_s=wait_s,
        headers=limit.headers,
    )
