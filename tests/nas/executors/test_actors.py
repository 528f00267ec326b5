"""How jobs are shared out among actors, without a cluster."""

from nas import Objective, search
from nas.executors.actors import Member, _hand_out
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(12))), Choice("b", list(range(12)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


def test_actors_share_what_is_left(tmp_path):
    class Run:
        def options(self, **options):
            return self

        def remote(self, batch):
            return batch

    class Actor:
        run = Run()

    sizes = []

    def executor(session):
        for _ in range(3):
            member = Member(Actor(), None, node="n")
            _hand_out(session, member, most=16, slots=2)
            sizes.append(len(member.stream))
        session.drain()

    search(SPACE, dict, OBJECTIVES, max_evaluations=40, directory=tmp_path / "run", executor=executor)
    assert sizes == [16, 12, 6]
