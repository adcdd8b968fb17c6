"""What another definition would have done with the same events: who becomes, stops being or changes the day of MQL. Pure.

Scoring is `mqlstream.offline`'s, through the production step; reading events and printing belong to the command.
"""
