"""The naive oracle: a second implementation of the definition language, for comparison only.

Here live the oracle (`oracle`, `lifecycle` and what they use), the hypothesis generators (`strategies`) and the
adapter to the production code (`production`). Nothing but the adapter imports the package under test: the oracle
is written from the language's text, and agreement means something only as long as it stays so.
"""
