import pytest

from engine.cluster.model import Tokens, base36, derived_id, new_id
from engine.errors import InvalidArgument
from engine.swarm.server.admission import role_of
from engine.swarm.token import JoinToken, digest_of, new_secret, parse


def test_a_token_is_parsed_from_its_own_text():
    token = JoinToken(digest_of("certificate"), new_secret())
    assert parse(str(token)) == token
    assert str(token).startswith("SWMTKN-1-") and len(str(token)) == 85


@pytest.mark.parametrize(
    "text",
    ["", "x", "SWMTKN-1-aaa-bbb", "SWMTKN-2-" + "0" * 50 + "-" + "0" * 25, "SWMTKN-1-" + "z" * 50 + "-" + "0" * 25],
)
def test_a_malformed_token_is_refused(text):
    with pytest.raises(InvalidArgument, match="invalid join token"):
        parse(text)


def test_ids_are_25_digits_of_base_36():
    assert len(new_id()) == len(derived_id("f" * 64)) == 25
    assert base36(35, 2) == "0z" and base36(36, 1) == "10"


def test_a_secret_gives_one_role_and_an_empty_one_none():
    tokens = Tokens("w", "m")
    assert [role_of(tokens, s) for s in ("w", "m", "x", "")] == ["worker", "manager", "", ""]
    assert role_of(Tokens("", ""), "") == ""
