"""How the triggerer reads connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pytest_mock import MockerFixture

from airflow_provider_dli.api.protocol.errors import InputError
from airflow_provider_dli.triggerer import accounts
from airflow_provider_dli.triggerer.accounts import account_of


def ask(times: int, region: str | None = None) -> list[Any]:
    async def all_of_them() -> list[Any]:
        questions = (account_of("dli_default", region, None) for _ in range(times))
        return await asyncio.gather(*questions, return_exceptions=True)

    return asyncio.run(all_of_them())


def test_who_asks_for_a_connection_that_is_being_read_waits_for_that(
    connect: Callable[..., None], mocker: MockerFixture
) -> None:
    connect()
    airflow = mocker.spy(accounts, "get_async_connection")

    accounts_of_all = ask(100)

    assert airflow.call_count == 1
    assert len(set(accounts_of_all)) == 1


def test_later_it_is_read_again(connect: Callable[..., None]) -> None:
    connect(region="eu-de")
    (before,) = ask(1)
    connect(region="eu-nl")
    (after,) = ask(1)

    assert (before.region, after.region) == ("eu-de", "eu-nl")


def test_overrides_tell_accounts_apart(connect: Callable[..., None]) -> None:
    connect(region="eu-de")

    async def both() -> list[Any]:
        return await asyncio.gather(
            account_of("dli_default", None, None), account_of("dli_default", "eu-nl", "other")
        )

    assert [a.region for a in asyncio.run(both())] == ["eu-de", "eu-nl"]


def test_everybody_hears_what_is_wrong_with_a_connection(connect: Callable[..., None]) -> None:
    connect(endpoint=None, cloud=None)

    assert [type(error) for error in ask(3)] == [InputError] * 3


def test_who_is_killed_leaves_the_others_their_answer(connect: Callable[..., None]) -> None:
    connect(region="eu-de")

    async def one_is_killed() -> Any:
        first = asyncio.ensure_future(account_of("dli_default", None, None))
        second = asyncio.ensure_future(account_of("dli_default", None, None))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(one_is_killed()).region == "eu-de"
