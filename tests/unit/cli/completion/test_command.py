"""The completion scripts are equal to the committed files, cover all commands, and agree with engine and drivers."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from cli.completion.bindings import ARGUMENTS, FLAGS
from cli.completion.sources import SOURCES
from cli.completion.tree import nodes
from cli.network.connect import restart
from cli.root import root
from drivers.registry import available
from engine.filters.containers import KEYS
from engine.filters.networks import NETWORK_KEYS
from engine.filters.prune import PRUNE_KEYS

COMPLETIONS = Path(__file__).parents[4] / "completions"
FILES = {"bash": "hawse.bash", "fish": "hawse.fish", "zsh": "_hawse"}


@pytest.mark.parametrize("shell", FILES)
def test_committed_script_is_what_hawse_prints(cli, shell):
    result = cli("completion", shell)
    assert result.code == 0
    assert result.out == (COMPLETIONS / FILES[shell]).read_text(), (
        f"stale: run `hawse completion {shell} > completions/{FILES[shell]}`"
    )


def test_completion_for_an_unknown_shell_names_it_in_the_error(cli):
    result = cli("completion", "tcsh")
    assert (result.code, result.out) == (1, "")
    assert "tcsh" in result.err


def test_powershell_is_refused_in_plain_words(cli):
    for name in ("powershell", "PowerShell", "pwsh"):
        result = cli("completion", name)
        assert (result.code, result.out) == (1, "")
        assert result.err == "hawse completion: hawse has no script for PowerShell: use bash, fish or zsh\n"


def test_every_option_of_a_driver_has_a_description():
    for name in ("bridge-option", "overlay-option", "macvlan-option", "ipvlan-option"):
        source = SOURCES[name]
        assert {*source.keys} <= {key for key, text in source.summaries.items() if text}


def test_every_visible_command_is_in_the_tree():
    paths = {path for node in nodes(root) for path in node.paths}
    context = click.Context(root)
    visible = {name for name in root.list_commands(context) if not root.get_command(context, name).hidden}
    assert visible <= paths
    assert {"", "network create", "run", "container run"} <= paths
    assert not any(path.startswith("__") for path in paths)


def test_a_command_of_two_names_is_one_node():
    assert [node.paths for node in nodes(root) if "run" in node.paths] == [("container run", "run")]


def test_every_completion_source_exists_and_is_used():
    named = {*FLAGS.values(), *ARGUMENTS.values()}
    for source in SOURCES.values():
        named |= set(source.keys.values()) | set(source.by_flag[2].values() if source.by_flag else ())
    assert named <= set(SOURCES)
    assert set(SOURCES) <= named | {"none", "bool"}


def test_the_flags_with_a_completion_source_exist():
    keys = {place.rpartition(" ")[2] for place in FLAGS}
    assert keys <= {flag.long for node in nodes(root) for flag in node.flags}


def test_drivers_and_filter_keys_are_those_of_the_engine():
    assert set(SOURCES["any-driver"].words) == set(available())
    assert set(SOURCES["driver"].words) == set(available()) - {"host", "null"}
    for source, keys in (
        ("network-filter", NETWORK_KEYS), ("container-filter", KEYS), ("network-prune-filter", PRUNE_KEYS),
        ("container-prune-filter", PRUNE_KEYS),
    ):  # fmt: skip
        assert {key.removesuffix("=") for key in SOURCES[source].keys} == keys


def test_only_accepted_restart_policies_of_a_namespace_are_offered():
    assert [restart(word) for word in SOURCES[FLAGS["network.connect --restart"]].words] == ["no", "unless-stopped"]


def test_other_spellings_of_a_flag_are_known_but_not_offered():
    (run,) = [node for node in nodes(root) if "run" in node.paths]
    offered = {flag.long: flag.offered for flag in run.flags}
    assert (offered["--net"], offered["--network"], offered["--help"]) == (False, True, True)
    (connect,) = [node for node in nodes(root) if "network connect" in node.paths]
    assert all(flag.offered for flag in connect.flags if flag.long in ("--gw-priority", "--publish"))
