"""hawse translates Docker's seccomp profiles for the container runtime."""

from __future__ import annotations

import os

import pytest

from engine.runtime import seccomp

CALLS = ["mount", "clone3", "keyctl", "bpf", "read"]


def actions(capabilities: list[str]) -> dict[str, list[str]]:
    profile = seccomp.filter_for("", capabilities)
    assert profile is not None
    assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    rules = [rule for rule in profile["syscalls"] if not rule.get("args")]
    return {call: [rule["action"] for rule in rules if call in rule["names"]] for call in CALLS}


def test_rules_follow_the_capabilities():
    allow, refuse = ["SCMP_ACT_ALLOW"], ["SCMP_ACT_ERRNO"]
    assert actions([]) == {"mount": [], "clone3": refuse, "keyctl": [], "bpf": [], "read": allow}
    admin = {"mount": allow, "clone3": allow, "keyctl": [], "bpf": allow, "read": allow}
    assert actions(["CAP_SYS_ADMIN"]) == admin


def test_rules_follow_the_architecture_and_the_kernel(monkeypatch):
    machine = os.uname()
    rule = {"names": ["x"], "action": "SCMP_ACT_ALLOW"}
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                    {"architecture": "SCMP_ARCH_AARCH64"}],
        "syscalls": [
            {**rule, "includes": {"arches": ["arm64"]}, "errnoRet": 1},
            {**rule, "excludes": {"arches": ["arm64"]}, "errnoRet": 2},
            {**rule, "includes": {"minKernel": "4.8"}, "errnoRet": 3},
            {**rule, "excludes": {"minKernel": "4.8"}, "errnoRet": 4},
            {"name": "y", "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        ],
    }  # fmt: skip
    for name, release, architectures, kept in (
        ("x86_64", "6.1.0-13-amd64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], [2, 3, None]),
        ("aarch64", "4.4.1", ["SCMP_ARCH_AARCH64"], [1, 4, None]),
    ):
        system = os.uname_result((*machine[:2], release, machine[3], name))
        monkeypatch.setattr(os, "uname", lambda system=system: system)
        translated = seccomp.translate(profile, [])
        assert translated is not None
        assert translated["architectures"] == architectures
        assert [entry.get("errnoRet") for entry in translated["syscalls"]] == kept
        assert translated["syscalls"][-1]["names"] == ["y"]


@pytest.mark.parametrize("profile", ["unconfined", "{}", '{"defaultAction":"","syscalls":[]}'])
def test_an_empty_or_unconfined_profile_gives_no_filter(profile):
    assert seccomp.filter_for(profile, []) is None
