"""All drawings of a network map list each host with its own containers."""

from cli.diagram.parts import groups


def host(identity: str, *, here: bool = False) -> dict:
    return {"Id": identity, "Name": "web", "Address": f"192.0.2.{identity}", "Here": here}


def container(name: str, host_id: str) -> dict:
    return {"Name": name, "Host": "web" if host_id else "", "HostId": host_id}


def test_hosts_of_one_name_are_different_hosts():
    containers = [container("mine", ""), container("second", "2"), container("third", "3")]
    network = {"Hosts": [host("1", here=True), host("2"), host("3")], "Containers": containers}
    assert [(group.title, [c["Name"] for c in group.containers]) for group in groups(network)] == [
        ("web (192.0.2.1, this host)", ["mine"]),
        ("web (192.0.2.2)", ["second"]),
        ("web (192.0.2.3)", ["third"]),
    ]
