"""``hawse doctor --fix`` lists a finding as repaired only if hawse itself can repair the fault."""

from engine.diagnosis.doctor.checks import fault, ok, warning
from engine.diagnosis.doctor.examination import repaired

BRIDGE = fault("network app", "br-1 is down")
BOOT = fault("host", "the networks are not back", fix="hawse system boot")
DNS = warning("upstream DNS", "1 of 1 servers do not answer: 10.0.0.1 (silent)", "down", "check the network")
DNS_LATER = warning("upstream DNS", "1 of 1 servers do not answer: 10.0.0.1 (refused)", "down", "check the network")


def test_a_finding_with_another_text_at_the_second_look_was_not_repaired():
    before = [BRIDGE, BOOT, DNS, ok("kernel", "has bridge")]
    assert repaired(before, [DNS_LATER]) == ["network app: br-1 is down", "host: the networks are not back"]
    assert repaired(before, [BRIDGE]) == ["host: the networks are not back"]
