from __future__ import annotations

from engine.etc_files.resolv_conf import read_host_resolv_conf


def test_stub_of_systemd_resolved_is_replaced_by_its_upstream_servers(tmp_path):
    system, behind = tmp_path / "resolv.conf", tmp_path / "behind.conf"
    system.write_text("nameserver 127.0.0.53\n")
    assert read_host_resolv_conf(system, behind) == "nameserver 127.0.0.53\n"
    behind.write_text("nameserver 192.0.2.7\n")
    assert read_host_resolv_conf(system, behind) == "nameserver 192.0.2.7\n"
    system.write_text("nameserver 127.0.0.53\nnameserver 192.0.2.1\n")
    assert read_host_resolv_conf(system, behind) == system.read_text()


def test_missing_file_is_an_empty_one(tmp_path):
    assert read_host_resolv_conf(tmp_path / "none", tmp_path / "none") == ""
