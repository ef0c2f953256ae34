"""The API refuses what hawse lacks with an explanation, after it has checked the parameters as Docker does."""

from __future__ import annotations

import pytest

ABSENT = [
    ("POST", "/volumes/create"), ("POST", "/build"), ("POST", "/containers/c1/pause"),
    ("POST", "/containers/c1/unpause"),
    ("GET", "/containers/c1/archive?path=/"), ("GET", "/containers/c1/export"), ("GET", "/containers/c1/changes"),
    ("POST", "/commit?container=c1"), ("GET", "/images/bb/history"), ("GET", "/containers/c1/checkpoints"),
    ("DELETE", "/containers/c1/checkpoints/x"), ("POST", "/plugins/pull"), ("GET", "/images/search?term=x&limit=9"),
]  # fmt: skip


def test_features_that_hawse_lacks_are_refused_with_an_explanation(service):
    service.docker("create", "--name", "c1", "bb", "true")
    for method, path in ABSENT:
        answer = service.ask(method, path)
        assert answer.status == 501 and answer.message.startswith("hawse "), (method, path)


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        *((method, f"/containers/no/{rest}", 404, "No such container: no")
          for method, rest in [("POST", "pause"), ("POST", "unpause"), ("GET", "archive?path=/"), ("GET", "export"),
                               ("PUT", "archive?path=/"), ("GET", "changes")]),
        ("POST", "/commit?container=no", 404, "No such container: no"),
        ("POST", "/commit?container=no&repo=BAD", 400,
         "invalid reference format: repository name (library/BAD) must be lowercase"),
        ("GET", "/containers/no/archive", 400, "bad parameter: pathcannot be empty"),
        ("GET", "/images/no/history", 404, "No such image: no:latest"),
        ("GET", "/distribution/BAD/json", 400,
         "invalid reference format: repository name (library/BAD) must be lowercase"),
        ("GET", "/images/search?limit=a", 400, 'invalid limit specified: strconv.Atoi: parsing "a": invalid syntax'),
        ("GET", "/images/search?limit=101", 400, "limit 101 is outside the range of [1, 100]"),
        ("GET", '/images/search?filters={"bad":["x"]}', 400, "invalid filter 'bad'"),
        ("GET", '/images/search?filters={"is-official":["x"]}', 400, "invalid filter 'is-official=[x]'"),
        ("GET", '/images/search?filters={"stars":["x"]}', 400,
         "invalid filter 'stars=x': strconv.Atoi: parsing \"x\": invalid syntax"),
        ("GET", "/volumes?filters={", 400, "error reading volume filters: invalid filter"),
        ("GET", '/plugins?filters={"bad":["x"]}', 400, "invalid filter 'bad'"),
        ("POST", '/volumes/prune?filters={"bad":["x"]}', 400, "invalid filter 'bad'"),
        ("POST", "/build/prune?filters={", 400, "invalid filter"),
        ("POST", "/build/cancel", 400, "build ID not provided"),
        ("POST", "/plugins/x/disable", 404, 'plugin "x" not found'),
        ("GET", "/services/x/logs", 500, "Bad parameters: you must choose at least one stream"),
        ("POST", "/services/x/update", 400,
         "invalid service version '': strconv.ParseUint: parsing \"\": invalid syntax"),
        ("POST", "/secrets/x/update", 400, "invalid secret version"),
        ("POST", "/nodes/x/update?version=a", 400,
         "invalid node version 'a': strconv.ParseUint: parsing \"a\": invalid syntax"),
    ],
)  # fmt: skip
def test_parameters_of_features_that_hawse_lacks_are_checked_as_docker_does(service, method, path, status, message):
    """dockerd 26.1.5 gave the same answers."""
    answer = service.ask(method, path)
    assert (answer.status, answer.message) == (status, message)


def test_a_cluster_is_not_made_without_an_address_to_listen_on(service):
    answer = service.ask("POST", "/swarm/init", {})
    assert (answer.status, answer.message) == (400, 'invalid ListenAddr "": invalid empty address')
    assert service.ask("POST", "/services/create", {}).status == 503


def test_an_archive_without_bytes_is_not_loaded(service):
    assert service.ask("POST", "/images/load").message == "the archive holds no image"


def test_a_refusal_names_what_the_client_asked_for(service):
    assert "does not search" in service.ask("GET", "/images/search?term=x").message
    assert "does not read manifests" in service.ask("GET", "/distribution/bb/json").message
    assert "does not push" in service.ask("POST", "/images/bb/push").message


def test_a_missing_volume_is_an_error_only_without_force(service):
    for flag, status in (("", 404), ("?force=0", 404), ("?force=1", 204)):
        assert service.ask("DELETE", f"/volumes/a{flag}").status == status


def test_lists_of_objects_that_hawse_lacks_are_empty(service):
    assert service.ask("GET", "/volumes").json == {"Volumes": [], "Warnings": None}
    assert service.ask("GET", "/plugins").json == []
    assert service.ask("POST", "/networks/prune").json == {"NetworksDeleted": None}
    assert service.ask("POST", "/containers/prune").json == {"ContainersDeleted": None, "SpaceReclaimed": 0}
    refused = service.ask("GET", "/services")
    assert refused.status == 503 and refused.message.startswith("This node is not a swarm manager.")
