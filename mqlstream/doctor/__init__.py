"""The checks of `mqlstream doctor`: what stands between these settings and a worker that does its work.

    checks = asyncio.run(examine(settings))

Nothing here changes a cluster: no topic is created, no group joined, no record written, no transaction begun. What is asked is in
`cluster` and `requests`, what is found of it in one module a subject, and in which order is `rounds`' business.
"""
