"""What a check of a call wants to see first: a small answer from an address, by GET. Which addresses are fit to be asked it decides."""

from __future__ import annotations

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from mqlstream.errors import UnreachableError

ANSWER_S = 5.0
LIMIT_BYTES = 65_536


async def fetch(url: str, answer_s: float = ANSWER_S) -> bytes:
    """What stands at ``url``: the body of a 200, at most `LIMIT_BYTES`.

    Goes nowhere else: follows no redirection, takes no proxy from the environment, keeps no cookie. Raises `UnreachableError`.
    """
    where = url.partition("?")[0][:100]  # a query may hold a secret
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=answer_s), cookie_jar=DummyCookieJar()) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise UnreachableError(f"{where}: got status {response.status}, expected 200")
            found = b""
            async for chunk in response.content.iter_any():
                found += chunk
                if len(found) > LIMIT_BYTES:
                    raise UnreachableError(f"{where}: got more than {LIMIT_BYTES} bytes")
            return found
    except (ClientError, OSError, ValueError) as error:
        raise UnreachableError(f"{where}: {type(error).__name__}") from error
