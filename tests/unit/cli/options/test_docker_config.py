"""The configuration file of docker's client is read strictly, because any program of the user may have written it."""

import pytest

from cli.options.docker_config import registry_credentials


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("5", "expected an object"),
        pytest.param("[" * 100_000, "maximum recursion depth exceeded", id="deep"),
        ('{"auths": 5}', "auths: expected an object"),
        ('{"auths": ["registry.test"]}', "auths: expected an object"),
        ('{"credHelpers": 5}', "credHelpers: expected an object"),
        ('{"credHelpers": "pass"}', "credHelpers: expected an object"),
    ],
)
def test_a_mistake_names_the_file_and_the_key(tmp_path, text, complaint):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"^Error loading config file: ") as raised:
        registry_credentials({"DOCKER_CONFIG": str(tmp_path)}, "registry.test")
    assert str(raised.value).startswith(f"Error loading config file: {path}: {complaint}")


def test_the_program_of_all_registries_is_named_for_the_registry_of_the_image(tmp_path):
    tmp_path.joinpath("config.json").write_text('{"auths": null, "credsStore": "pass"}')
    credentials = registry_credentials({"DOCKER_CONFIG": str(tmp_path)}, "registry.test")
    assert credentials == {"auths": {}, "credHelpers": {"registry.test": "pass"}}
