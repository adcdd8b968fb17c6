"""Which worker gets which task."""

from __future__ import annotations

from typing import Any

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from hypothesis import given
from hypothesis import strategies as st

from mqlstream.engine.assignor import Claim, Decision, assignor_for, decide, share

members = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.lists(st.integers(0, 15), unique=True), min_size=1, max_size=6)


@given(st.integers(0, 16), members)
def test_every_task_has_one_owner_and_counts_differ_by_one_at_most(tasks, held):
    shares = share(tasks, held)
    assert sorted(task for numbers in shares.values() for task in numbers) == list(range(tasks))
    sizes = [len(shares[member]) for member in held]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 16), members)
def test_deciding_again_moves_nothing(tasks, held):
    shares = share(tasks, held)
    assert share(tasks, shares) == shares


@given(st.integers(1, 16), members)
def test_when_one_joins_only_what_it_gets_moves(tasks, held):
    before = share(tasks, held)
    after = share(tasks, {**before, "zzz": []})
    for member, numbers in before.items():
        assert set(after[member]) <= set(numbers)


def test_when_one_leaves_the_others_keep_what_they_have():
    before = share(7, {"a": [], "b": [], "c": []})
    gone = before.pop("b")
    after = share(7, before)
    for member, numbers in before.items():
        assert set(numbers) <= set(after[member])
    assert set(gone) <= {task for numbers in after.values() for task in numbers}


def test_whoever_missed_the_last_decision_keeps_nothing_by_right():
    claims = {"zombie": Claim("d", "", [0, 1], 4), "owner": Claim("d", "", [1], 5), "other": Claim("d", "", [0], 5)}
    shares, told = decide(2, "d", claims)
    assert (shares["owner"], shares["other"], shares["zombie"]) == ([1], [0], [])
    assert {decision.round for decision in told.values()} == {6}


def test_members_with_other_definitions_than_the_leaders_get_nothing_and_are_told_why():
    claims = {"a": Claim("one", "http://a", [], 0), "b": Claim("two", "http://b", [0, 1], 0)}
    shares, told = decide(2, "one", claims)
    assert shares == {"a": [0, 1], "b": []}
    assert (
        told["a"].refused == ""
        and told["b"].refused == "definitions or settings of this stage differ: this worker runs two, the group runs one"
    )
    assert told["b"].owners == {0: "http://a", 1: "http://a"}


class _Topics(ClusterMetadata):  # type: ignore[misc]  # aiokafka is untyped
    counts = {"a": 3, "b": 1}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self.counts[topic]))


def test_partition_i_of_every_topic_goes_to_one_member_also_when_counts_differ():
    got: dict[str, tuple[dict, Decision]] = {}

    def kind(name: str) -> type:
        return assignor_for(lambda: Claim("d", f"http://{name}", [], 0), lambda tasks, told: got.update({name: (dict(tasks), told)}))

    kinds: dict[str, Any] = {name: kind(name) for name in ("x", "y")}
    hello = {name: kind.metadata(["b", "a"]).encode() for name, kind in kinds.items()}
    decoded = {name: ConsumerProtocolMemberMetadata.decode(data) for name, data in hello.items()}
    answer = {name: given.encode() for name, given in kinds["x"].assign(_Topics(), decoded).items()}
    for name in kinds:
        kinds[name].on_assignment(ConsumerProtocolMemberAssignment.decode(answer[name]))
    tasks = {**got["x"][0], **got["y"][0]}
    assert tasks == {0: ["a", "b"], 1: ["a"], 2: ["a"]}
    assert not got["x"][0].keys() & got["y"][0].keys()
    assert got["x"][1] == got["y"][1] == Decision("", {task: f"http://{name}" for name in ("x", "y") for task in got[name][0]}, 1)
