"""Insights: what becomes of handoffs, counted by Faust agents in Faust tables.

`facts`: what is kept of a handoff event. `counting`: from facts to counts. `report`: from counts to the answer. `exact`:
everything that Faust has to be taught so that no event is lost. `agents`: the Faust App. `role`: its life in a worker.
"""
