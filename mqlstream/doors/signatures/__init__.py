"""Who may bring webhooks: the vendors' signatures, and what else proves who is calling. Pure: the clock is passed in, nothing is awaited.

One module a manner of signing; `registry` has them by name. What becomes of a request that is let in is not decided here.
"""
