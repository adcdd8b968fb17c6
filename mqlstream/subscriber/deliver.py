"""Where events go: a program or a webhook. Each is a handler for `Subscriber`; failing means raising `DeliveryFailed`.

Both get the same JSON object of one event, `{"type", "id", "lead_id", "time", "data"}`, with ``time`` in epoch
milliseconds. Retrying is the subscriber's.
"""

from __future__ import annotations

import asyncio
import shlex
from types import TracebackType

import aiohttp
import orjson

from mqlstream.errors import UsageError
from mqlstream.handoff.contract import HandoffEvent

TIMEOUT_SECONDS = 60.0


class DeliveryFailed(Exception):
    """This attempt failed; the text says how, without any of the event's data."""


class Program:
    """Runs a program for each event, with the event's JSON object on its stdin; exit code 0 means done.

    ``command_line`` is split as a shell would, and run without one. Raises `UsageError` when there is nothing in it.
    """

    def __init__(self, command_line: str, timeout_s: float = TIMEOUT_SECONDS) -> None:
        try:
            self._arguments = shlex.split(command_line)
        except ValueError as error:
            raise UsageError(f"--exec: cannot read {command_line!r}: {error}") from None
        if not self._arguments:
            raise UsageError("--exec: got nothing, expected a program and its arguments")
        self._timeout_s = timeout_s

    async def handle(self, event: HandoffEvent) -> None:
        """One attempt. Raises `DeliveryFailed`."""
        try:
            process = await asyncio.create_subprocess_exec(*self._arguments, stdin=asyncio.subprocess.PIPE)
        except OSError as error:
            raise DeliveryFailed(f"cannot run {self._arguments[0]}: {error.strerror}") from error
        try:
            async with asyncio.timeout(self._timeout_s):
                # A program that does not read its stdin is no failure: communicate() takes the broken pipe.
                await process.communicate(orjson.dumps(event.as_json()) + b"\n")
        except TimeoutError:
            raise DeliveryFailed(f"{self._arguments[0]} took more than {self._timeout_s:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise DeliveryFailed(f"{self._arguments[0]} ended with exit code {process.returncode}")


class Webhook:
    """POSTs each event's JSON object to a URL; any 2xx means done. Redirects are not followed.

    The header ``Idempotency-Key`` carries the event's id. Use as a context manager; raises `UsageError` for what is no
    http or https URL.
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_SECONDS) -> None:
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"--webhook: got {url!r}, expected a URL that begins with http:// or https://")
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Webhook:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()

    async def handle(self, event: HandoffEvent) -> None:
        """One attempt. Raises `DeliveryFailed`."""
        assert self._session is not None, "use Webhook as a context manager"
        headers = {"Content-Type": "application/json", "Idempotency-Key": event.id}
        body = orjson.dumps(event.as_json())
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                if not 200 <= response.status < 300:
                    raise DeliveryFailed(f"the webhook answered {response.status}, expected 2xx")
        except TimeoutError:
            raise DeliveryFailed(f"the webhook did not answer within {self._timeout.total:g} s") from None
        except aiohttp.ClientError as error:
            raise DeliveryFailed(f"the webhook failed: {type(error).__name__}") from error
