"""Who comes with a name is let in, whoever it is that knows the name; else the error says why."""

from __future__ import annotations

import logging
import traceback
from importlib.util import find_spec
from typing import Any

import anyio
import pytest
from aiokafka.abc import AbstractTokenProvider

from busway import Bus, BuswayError, OptionError, TransportError
from busway_kafka import KafkaTransport, open_kafka
from tests.servers import GuardedKafka

__all__: list[str] = []

pytestmark = pytest.mark.anyio

PATIENCE = 30.0
WRONG = "wr0ng/s3cret"
PASSWORDS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class Tokens(AbstractTokenProvider):
    def __init__(self, *tokens: str | Exception) -> None:
        self.tokens = list(tokens)
        self.asked = 0

    async def token(self) -> str:
        self.asked += 1
        token = self.tokens[min(self.asked, len(self.tokens)) - 1]
        if isinstance(token, Exception):
            raise token
        return token


def by_token(server: GuardedKafka, provider: AbstractTokenProvider) -> KafkaTransport:
    url = f"kafka+sasl_ssl://{server.way}&sasl_mechanism=OAUTHBEARER"
    return open_kafka(url, token_provider=provider)


async def there_and_back(transport: KafkaTransport | str) -> None:
    bus = Bus(transport, service="shop")
    came = anyio.Event()

    @bus.subscribe("order.*", group="billing")
    async def charge(order: int) -> None:
        came.set()

    with anyio.fail_after(PATIENCE):
        async with bus:
            await bus.publish("order.placed", 1)
            await came.wait()


async def refusal(transport: KafkaTransport) -> TransportError:
    """How it does not start, within the deadline and for good."""
    bus = Bus(transport, service="shop")
    with anyio.fail_after(transport.options.timeout):
        with pytest.raises(BuswayError) as refused:
            await bus.start()
    error = refused.value
    assert isinstance(error, TransportError), error
    return error


def all_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


@pytest.mark.parametrize("mechanism", PASSWORDS)
async def test_who_knows_the_password_is_let_in(
    kafka_guarded: GuardedKafka, mechanism: str
) -> None:
    await there_and_back(kafka_guarded.url_of("operator", mechanism))


@pytest.mark.parametrize("mechanism", PASSWORDS)
async def test_a_wrong_password_is_told_with_what_to_do_and_is_shown_nowhere(
    kafka_guarded: GuardedKafka, mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    transport = open_kafka(kafka_guarded.url_of("operator", mechanism, password=WRONG))
    error = await refusal(transport)
    assert not error.retryable
    assert "refuses this client" in str(error)
    assert "see the user and the password of the URL (percent-encoded)" in str(error)
    assert mechanism in str(error)
    shown = all_of(error) + caplog.text + repr(transport) + repr(transport.options)
    shown += repr(transport.options.security) + repr(transport.options.security.password)
    assert WRONG not in shown


@pytest.mark.skipif(find_spec("gssapi") is not None, reason="the package is here")
async def test_a_mechanism_whose_package_is_missing_is_told_with_its_name(
    kafka_guarded: GuardedKafka,
) -> None:
    bus = Bus(kafka_guarded.url_of("operator", "GSSAPI"), service="shop")
    with pytest.raises(OptionError, match="sasl_mechanism=GSSAPI takes the package gssapi"):
        await bus.start()


async def test_who_has_a_token_is_let_in(kafka_guarded: GuardedKafka) -> None:
    tokens = Tokens(kafka_guarded.token("operator"))
    await there_and_back(by_token(kafka_guarded, tokens))
    assert tokens.asked > 1, "once for each connection"


async def test_a_token_that_is_over_is_told_with_what_to_do_and_is_shown_nowhere(
    kafka_guarded: GuardedKafka, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = kafka_guarded.token("operator", lasts=-600)
    transport = by_token(kafka_guarded, Tokens(token))
    error = await refusal(transport)
    assert not error.retryable
    assert "see what the token_provider gives" in str(error)
    assert token not in all_of(error) + caplog.text + repr(transport) + repr(transport.options)


async def test_a_token_provider_that_fails_is_told_and_ends_nothing(
    kafka_guarded: GuardedKafka,
) -> None:
    """The next connection asks it again."""
    token = kafka_guarded.token("operator")
    error = await refusal(by_token(kafka_guarded, Tokens(RuntimeError("no authority"))))
    assert "RuntimeError" in str(error)
    assert "token provider" in str(error)
    tokens = Tokens(token)
    transport = by_token(kafka_guarded, tokens)
    bus = Bus(transport, service="shop")
    came: list[int] = []

    @bus.subscribe("order.*", group="billing")
    async def charge(order: int) -> None:
        came.append(order)

    with anyio.fail_after(PATIENCE):
        async with bus:
            away = RuntimeError("the authority is away")
            tokens.tokens, tokens.asked = [away, away, away, away, away, token], 0
            transport.client.close_lane(None)
            await bus.publish("order.placed", 7)
            while 7 not in came:
                await anyio.sleep(0.01)
    assert tokens.asked > 5


async def test_a_token_provider_that_says_nothing_ends_at_the_deadline(
    kafka_guarded: GuardedKafka,
) -> None:
    class Silent(AbstractTokenProvider):
        async def token(self) -> str:
            await anyio.sleep_forever()
            raise AssertionError

    url = f"kafka+sasl_ssl://{kafka_guarded.way}&sasl_mechanism=OAUTHBEARER&timeout=500ms"
    transport = open_kafka(url, token_provider=Silent())
    with anyio.fail_after(PATIENCE):
        with pytest.raises(BuswayError, match=r"within 0\.5 s"):
            await Bus(transport, service="shop").start()


async def test_an_authority_that_nobody_trusts_is_told_with_what_to_do(
    kafka_guarded: GuardedKafka,
) -> None:
    url = kafka_guarded.url_of("operator").replace("ssl_cafile=", "client_id=")
    error = await refusal(open_kafka(url))
    assert "see ssl_cafile=" in str(error)
    assert not error.retryable


async def test_who_comes_without_tls_is_told_that_nobody_understands(
    kafka_guarded: GuardedKafka,
) -> None:
    error: Any = await refusal(open_kafka(f"kafka://127.0.0.1:{kafka_guarded.guarded}"))
    assert "kafka+ssl:// or kafka+sasl_ssl://" in str(error)
