"""Asks a running worker about a lead, over HTTP. Which worker has the lead is the workers' own business."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from mqlstream.errors import CheckFailed, UnreachableError, UsageError

PATIENCE_S = 15.0  # while a task restores or moves
_ONE_TRY = aiohttp.ClientTimeout(total=12, connect=5)


def url_of(worker: str, lead: str, query: dict[str, str]) -> URL:
    """The address of a lead at a worker, whatever letters its id has."""
    return URL(f"{worker.rstrip('/')}/v1/leads/{quote(lead, safe='')}", encoded=True).update_query(query)


async def ask(worker: str, lead: str, query: dict[str, str], token: str | None, patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """The lead's life as the worker tells it; asks again for ``patience_s`` when told to.

    Raises `CheckFailed` when there is no such lead, `UsageError` when the worker does not take the question or the token, and
    `UnreachableError`.
    """
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    until = time.monotonic() + patience_s
    async with aiohttp.ClientSession(timeout=_ONE_TRY, headers=headers) as session:
        while True:
            try:
                async with session.get(url_of(worker, lead, query), allow_redirects=False) as response:
                    told = await response.json()
                    status = response.status
                    pause_s = float(response.headers.get("Retry-After", "1"))
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise UnreachableError(f"no worker answers at {worker}: {reason_of(error)}; expected its address (--url)") from None
            if status == 200 and isinstance(told, dict):
                return told
            if status != 503 or time.monotonic() + pause_s > until:
                raise _refusal(worker, lead, status, told)
            await asyncio.sleep(pause_s)


def reason_of(error: Exception) -> str:
    """Why an HTTP request failed, in words for people."""
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        refused = isinstance(error.os_error, ConnectionRefusedError)
        return f"{error.host}:{error.port} " + ("refused the connection" if refused else f"cannot be reached: {error.strerror}")
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


def _refusal(worker: str, lead: str, status: int, told: Any) -> Exception:
    reason = told["error"] if isinstance(told, dict) and isinstance(told.get("error"), str) else f"it answered with status {status}"
    if status == 404:
        return CheckFailed(f"no lead {lead!r}: {reason}; expected a lead id as in the events (or its email)")
    if status in (400, 401, 403, 421):
        return UsageError(f"{worker}: {reason}")
    return UnreachableError(f"{worker}: {reason}")
