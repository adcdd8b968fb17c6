"""Asks a running worker for insights, over HTTP. Whose part of the counts is where is the workers' own business."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from mqlstream.doors.asking import reason_of
from mqlstream.errors import UnreachableError, UsageError

PATIENCE_S = 15.0  # while partitions are shared out anew
_ONE_TRY = aiohttp.ClientTimeout(total=12, connect=5)
_PAUSE_S = 0.5


async def ask(worker: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """The worker's answer, for all workers; asks again for a while when it is not whole.

    Raises `UsageError` when the worker does not take the question, and `UnreachableError`.
    """
    page = URL(f"{worker.rstrip('/')}/v1/insights").update_query(asked)
    until = time.monotonic() + PATIENCE_S
    async with aiohttp.ClientSession(timeout=_ONE_TRY) as session:
        while True:
            try:
                async with session.get(page, allow_redirects=False) as response:
                    status, told = response.status, await response.json(content_type=None)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise UnreachableError(
                    f"no insights at {worker}: {reason_of(error)}; expected a worker with the roles insights and web"
                ) from None
            if status == 200 and isinstance(told, dict):
                return told
            if status != 503 or time.monotonic() + _PAUSE_S > until:
                reason = told["error"] if isinstance(told, dict) and "error" in told else f"it answered with status {status}"
                raise (UsageError if status == 400 else UnreachableError)(f"{worker}: {reason}")
            await asyncio.sleep(_PAUSE_S)
