import pytest

from cli.gotemplate.jsontext import compact, indent


@pytest.mark.parametrize("text", ['["abc', '["abc\\', '"', '"\\'])
@pytest.mark.parametrize("change", [compact, indent])
def test_a_string_without_an_end_is_no_json(change, text):
    with pytest.raises(ValueError, match="unexpected end of JSON input"):
        change(text)
