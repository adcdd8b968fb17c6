"""What vendors send, as canonical input objects: one module a source, the table of its event types on top. Pure.

`base` says what an adapter is, `values` helps to write one, `registry` has them all, `reading` takes a record through one of them
and then through `mqlstream.ingest.canonical`, which alone validates, says whose an event is and derives from urls.
"""
