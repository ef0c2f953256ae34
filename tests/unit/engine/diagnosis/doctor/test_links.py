"""``hawse doctor --fix`` reports each repair that fails, also one that does not stop the others."""

from types import SimpleNamespace

from drivers.errors import DriverError
from engine.diagnosis.doctor import links
from engine.recovery.link_repair import Comparison, Subject


class Repairing:
    """A comparison whose repair of a network is refused, and whose repair of a container fails in part."""

    def put_right(self, subject: Subject) -> Comparison:
        if subject.id == "n1":
            raise DriverError("no bridge")
        return Comparison("container web", failures=[DriverError("no eth0"), DriverError("no route")])


def test_every_failed_repair_is_a_problem(monkeypatch):
    monkeypatch.setattr(links.recover, "repair", lambda host, *, whole: None)
    monkeypatch.setattr(links, "comparison", lambda host, containers: Repairing())
    networks, containers = [SimpleNamespace(name="app", id="n1")], [SimpleNamespace(name="web", id="c1")]
    problems = links.repair(SimpleNamespace(host=None, networks=networks, containers=containers))
    assert [(problem.object, problem.what, problem.cause) for problem in problems] == [
        ("network app", "cannot be repaired", "no bridge"),
        ("container web", "cannot be repaired", "no eth0"),
        ("container web", "cannot be repaired", "no route"),
    ]
