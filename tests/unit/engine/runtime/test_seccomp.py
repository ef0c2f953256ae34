"""hawse translates Docker's seccomp profiles for the container runtime."""

from __future__ import annotations

import os

import pytest

from engine.runtime import seccomp
from engine.runtime.errors import CREATE, SetupFailed

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
    rule = {"names": ["x"], "action": "SCMP_ACT_ERRNO"}
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                    {"architecture": "SCMP_ARCH_AARCH64"}, {}],
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


@pytest.mark.parametrize("profile", ["unconfined", "{}", "null", '{"defaultAction":"","syscalls":[]}'])
def test_an_empty_or_unconfined_profile_gives_no_filter(profile):
    assert seccomp.filter_for(profile, []) is None


ALLOW = '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[%s]}'
INTO = "into Go value of type seccomp.Seccomp"
ACTION = "specs.LinuxSeccompAction"
KERNEL, PARSING = 'invalid kernel version: %s, expected "<kernel>.<major>"', ": strconv.ParseUint: parsing %s"
NO_ACTION = "string  is not a valid action for seccomp: unknown"


def mismatch(kind: str, field: str, go_type: str) -> str:
    return f"json: cannot unmarshal {kind} into Go struct field {field} of type {go_type}"


@pytest.mark.parametrize(
    ("profile", "text"),
    [
        ("{bad", "invalid character 'b' looking for beginning of object key string"),
        (" ", "unexpected end of JSON input"),
        ("{}x", "invalid character 'x' after top-level value"),
        ('{"syscalls":[],}', "invalid character '}' looking for beginning of object key string"),
        ("{'syscalls':[]}", "invalid character '\\'' looking for beginning of object key string"),
        ("// x\n{}", "invalid character '/' looking for beginning of value"),
        ('{"syscalls":[', "unexpected end of JSON input"),
        ("[" * 100_000, "invalid character '[' exceeded max depth"),
        ("true", f"json: cannot unmarshal bool {INTO}"),
        ("1.5", f"json: cannot unmarshal number {INTO}"),
        ('"x"', f"json: cannot unmarshal string {INTO}"),
        ("[]", f"json: cannot unmarshal array {INTO}"),
        ('{"syscalls":[1]}', mismatch("number", "Seccomp.syscalls", "seccomp.Syscall")),
        ('{"syscalls":"x"}', mismatch("string", "Seccomp.syscalls", "[]*seccomp.Syscall")),
        ('{"syscalls":{},"architectures":[1]}', mismatch("object", "Seccomp.syscalls", "[]*seccomp.Syscall")),
        ('{"defaultAction":["x"]}', mismatch("array", "Seccomp.LinuxSeccomp.defaultAction", ACTION)),
        ('{"defaultErrnoRet":"x"}', mismatch("string", "Seccomp.LinuxSeccomp.defaultErrnoRet", "uint")),
        ('{"archMap":[1]}', mismatch("number", "Seccomp.archMap", "seccomp.Architecture")),
        (
            '{"archMap":[{"subArchitectures":"x"}]}',
            mismatch("string", "Architecture.archMap.subArchitectures", "[]specs.Arch"),
        ),
        (ALLOW % '{"names":"x"}', mismatch("string", "Syscall.syscalls.LinuxSyscall.names", "[]string")),
        (ALLOW % '{"names":[1]}', mismatch("number", "Syscall.syscalls.LinuxSyscall.names", "string")),
        (ALLOW % '{"errnoRet":-1}', mismatch("number -1", "Syscall.syscalls.LinuxSyscall.errnoRet", "uint")),
        (ALLOW % '{"includes":[]}', mismatch("array", "Syscall.syscalls.includes", "seccomp.Filter")),
        (ALLOW % '{"includes":{"caps":"x"}}', mismatch("string", "Filter.syscalls.includes.caps", "[]string")),
        (
            ALLOW % '{"args":[{"index":"0"}]}',
            mismatch("string", "LinuxSeccompArg.syscalls.LinuxSyscall.args.index", "uint"),
        ),
        (ALLOW % '{"comment":5}', mismatch("number", "Syscall.syscalls.comment", "string")),
        (ALLOW % '{"errnoRet":1.50}', mismatch("number 1.50", "Syscall.syscalls.LinuxSyscall.errnoRet", "uint")),
        ('{"listenerPath":5}', mismatch("number", "Seccomp.LinuxSeccomp.listenerPath", "string")),
        (ALLOW % '{"includes":{"minKernel":"4.300"}}', KERNEL % '"4.300"' + PARSING % '"300": value out of range'),
        (ALLOW % '{"includes":{"minKernel":"4.x"}}', KERNEL % '"4.x"' + PARSING % '"x": invalid syntax'),
        (ALLOW % '{"includes":{"minKernel":"4.8.1"}}', KERNEL % '"4.8.1"'),
        (ALLOW % '{"includes":{"minKernel":"0.0"}}', KERNEL % '"0.0"' + ": version cannot be 0.0"),
        (
            ALLOW % '{"includes":{"minKernel":[4,8.50]}}',
            KERNEL % "[4,8.50]" + ": json: cannot unmarshal array into Go value of type string",
        ),
        ('{"defaultAction":5,"syscalls":[{"includes":{"minKernel":"x"}}]}', KERNEL % '"x"'),
        (ALLOW % '{"includes":{"minKernel":"x"}}', 'invalid kernel version: "x", expected "<kernel>.<major>"'),
        (
            ALLOW % '{"includes":{"minKernel":4}}',
            'invalid kernel version: 4, expected "<kernel>.<major>": '
            "json: cannot unmarshal number into Go value of type string",
        ),
    ],
)
def test_a_profile_that_cannot_be_decoded_is_refused_in_dockers_words(profile, text):
    """The texts are those of Docker 26.1.5."""
    with pytest.raises(SetupFailed) as failure:
        seccomp.filter_for(profile, [])
    assert (failure.value.text, failure.value.plain) == (f"Decoding seccomp profile failed: {text}", True)


@pytest.mark.parametrize(
    ("profile", "text"),
    [
        ('{"syscalls":[{"action":"SCMP_ACT_ALLOW"}]}', NO_ACTION),
        (ALLOW % "{}", NO_ACTION),
        (ALLOW % "null", NO_ACTION),
        (ALLOW % '{"names":["mkdir"],"action":"nope"}', "string nope is not a valid action for seccomp: unknown"),
        (
            '{"defaultAction":"SCMP_ACT_ALLOW","architectures":["x86"]}',
            "string x86 is not a valid arch for seccomp: unknown",
        ),
        (
            ALLOW % '{"names":["mkdir"],"action":"SCMP_ACT_ERRNO","args":[{"op":"x"}]}',
            "string x is not a valid operator for seccomp: unknown",
        ),
        (
            ALLOW % '{"names":["mkdir"],"action":"SCMP_ACT_ERRNO","args":[{}]}',
            "string  is not a valid operator for seccomp: unknown",
        ),
        ('{"defaultAction":"nope"}', "string nope is not a valid action for seccomp: unknown"),
    ],
)
def test_a_name_that_runc_does_not_know_is_refused_in_its_words(profile, text):
    with pytest.raises(SetupFailed) as failure:
        seccomp.filter_for(profile, [])
    assert (failure.value.text, failure.value.plain) == (CREATE + text, True)


def test_a_rule_without_names_has_no_effect():
    assert seccomp.filter_for(ALLOW % '{"action":"SCMP_ACT_ERRNO"}', []) == {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [],
    }


def test_null_in_a_list_is_an_empty_value():
    profile = '{"defaultAction":"SCMP_ACT_ALLOW","archMap":[null],"syscalls":[{"names":["x"],"action":"SCMP_ACT_LOG"}]}'
    translated = seccomp.filter_for(profile, [])
    assert translated is not None
    assert translated["syscalls"] == [{"names": ["x"], "action": "SCMP_ACT_LOG"}]


def test_keys_are_read_in_any_case_as_in_go():
    """Otherwise such a profile would be an empty one, which gives no filter."""
    profile = '{"DefaultAction":"SCMP_ACT_ALLOW","SYSCALLS":[{"Names":["mkdir"],"ACTION":"SCMP_ACT_ERRNO"}]}'
    assert seccomp.filter_for(profile, []) == {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}],
    }


@pytest.mark.parametrize(
    ("profile", "one", "other"),
    [
        (ALLOW % '{"name":"x","names":["y"],"action":"SCMP_ACT_ERRNO"}', "name", "names"),
        (
            '{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{}]}',
            "architectures",
            "archMap",
        ),
    ],
)
def test_a_profile_that_gives_the_same_thing_twice_is_refused(profile, one, other):
    text = f"both '{one}' and '{other}' are specified in the seccomp profile, use either '{one}' or '{other}'"
    with pytest.raises(SetupFailed, match=f"^{text}$"):
        seccomp.filter_for(profile, [])


def test_a_null_does_not_replace_an_earlier_value():
    """Go's decoder leaves the field alone. An empty action would give no filter."""
    for null in ('"defaultaction":null', '"defaultAction":null'):
        profile = f'{{"defaultAction":"SCMP_ACT_ERRNO",{null}}}'
        assert seccomp.filter_for(profile, []) == {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}


MKDIR, ARGUMENT = '"names":["mkdir"],"action":"SCMP_ACT_ERRNO"', '"index":1,"value":2,"op":"SCMP_CMP_EQ"'
RULE = {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}


@pytest.mark.parametrize(
    ("rules", "filtered"),
    [
        (f'[{{{MKDIR}}}],"syscalls":[{{"names":["rmdir"]}}]', [{**RULE, "names": ["rmdir"]}]),
        (f'[{{{MKDIR}}}],"Syscalls":[{{"action":"SCMP_ACT_LOG"}}]', [{**RULE, "action": "SCMP_ACT_LOG"}]),
        (
            f'[{{{MKDIR}}},{{{MKDIR}}}],"syscalls":[{{}}],"syscalls":[{{}},{{"names":["rmdir"]}}]',
            [RULE, {**RULE, "names": ["rmdir"]}],
        ),
        (f'[{{{MKDIR}}}],"syscalls":null', []),
        (f'[{{{MKDIR}}}],"syscalls":[]', []),
        (f'[{{{MKDIR},"names":null}}]', []),
        (f'[{{{MKDIR},"errnoRet":5,"errnoRet":null}}]', [RULE]),
        (f'[{{{MKDIR},"errnoRet":5,"errnoRet":7}}]', [{**RULE, "errnoRet": 7}]),
        (f'[{{{MKDIR},"includes":{{"caps":["CAP_X"]}},"includes":{{"arches":[]}}}}]', []),
        (f'[{{{MKDIR},"includes":{{"caps":["CAP_X"]}},"includes":null}}]', [RULE]),
        (f'[{{{MKDIR},"excludes":{{"minKernel":"99.1","minKernel":""}}}}]', [RULE]),
        (f'[{{{MKDIR},"excludes":{{"minKernel":""}}}}]', []),
        (f'[{{{MKDIR},"includes":{{"minKernel":""}}}}]', [RULE]),
        (
            f'[{{{MKDIR},"args":[{{{ARGUMENT}}}],"args":[{{"value":3}}]}}]',
            [{**RULE, "args": [{"index": 1, "value": 3, "op": "SCMP_CMP_EQ"}]}],
        ),
        (
            f'[{{{MKDIR},"args":[{{{ARGUMENT}}}],"args":[null]}}]',
            [{**RULE, "args": [{"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}],
        ),
        (f'[{{{MKDIR},"args":[{{{ARGUMENT}}}],"args":[]}}]', [RULE]),
    ],
)
def test_values_of_a_repeated_key_merge_as_in_docker(rules, filtered):
    """The filters are those in the OCI configurations that Docker 26.1.5 wrote for these profiles."""
    translated = seccomp.filter_for(f'{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":{rules}}}', [])
    assert translated == {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": filtered}


def test_the_first_entry_of_the_architecture_counts(monkeypatch):
    machine = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*machine[:4], "x86_64")))
    profile = (
        '{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_X86_64",'
        '"subArchitectures":["SCMP_ARCH_X86"]},{"architecture":"SCMP_ARCH_X86_64"}]}'
    )
    translated = seccomp.filter_for(profile, [])
    assert translated is not None
    assert translated["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]


def test_a_deep_value_in_place_of_a_version_is_refused():
    """Docker accepts more levels, and names the value."""
    profile = ALLOW % ('{"includes":{"minKernel":' + '[{"a":' * 400 + "1" + "}]" * 400 + "}}")
    with pytest.raises(SetupFailed, match=r"^Decoding seccomp profile failed: exceeded max depth$"):
        seccomp.filter_for(profile, [])


def test_an_error_number_that_the_action_does_not_use_is_ignored():
    """Docker accepts it. crun would refuse it."""
    profile = (
        '{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":5,'
        '"syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_LOG","errnoRet":5}]}'
    )
    rules = [{"names": ["mkdir"], "action": "SCMP_ACT_LOG"}]
    assert seccomp.filter_for(profile, []) == {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
