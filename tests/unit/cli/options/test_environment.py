"""Flags for environment variables and labels, given directly and in files; error texts are those of Docker 26.1.5."""

import pytest

from cli.options.environment import env_value, label, latest, pairs_to_map, read_pairs, with_files


def test_a_bare_variable_takes_its_value_from_the_environment():
    assert env_value("HOME", {"HOME": "/root"}) == "HOME=/root"
    assert env_value("HOME", {}) == "HOME"
    assert env_value("HOME=", {"HOME": "/root"}) == "HOME="


def test_a_variable_needs_a_name():
    with pytest.raises(ValueError, match=r"^invalid environment variable: =x$"):
        env_value("=x", {})


def test_labels_are_parsed_and_the_last_value_of_a_key_counts():
    assert label("a=b c") == "a=b c"
    with pytest.raises(ValueError, match=r"^invalid label '': empty name$"):
        label("")
    with pytest.raises(ValueError, match=r"^label 'a b' contains whitespaces$"):
        label(" a b=1")
    assert pairs_to_map(["a", "b=1", "b=2=3"]) == {"a": "", "b": "2=3"}


def test_a_file_gives_pairs_that_the_command_line_overrides(tmp_path):
    file = tmp_path / "env"
    file.write_bytes(b"\xef\xbb\xbf# comment\n\n  A= 1 \r\nB\nC\nD=x=y")
    assert with_files([str(file)], ["A=2"], {"B": "from outside"}) == ["A= 1 ", "B=from outside", "D=x=y", "A=2"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a b=1\n", "poorly formatted environment: variable 'a b' contains whitespaces"),
        (b"=1\n", "poorly formatted environment: no variable name on line '=1'"),
        (b"ok=1\nf\xff\n", "env file {} contains invalid utf8 bytes at line 2: [102 255]"),
    ],
)
def test_an_invalid_line_of_a_file_is_refused(tmp_path, content, text):
    file = tmp_path / "env"
    file.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        list(read_pairs(str(file)))
    assert str(caught.value) == text.format(file)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match=r"^open /nosuch: no such file or directory$"):
        list(read_pairs("/nosuch"))
    with pytest.raises(ValueError, match=rf"^read {tmp_path}: is a directory$"):
        list(read_pairs(str(tmp_path)))


def test_a_line_that_is_longer_than_dockers_limit_is_refused(tmp_path):
    """An endless device such as /dev/zero is refused, too. Docker 26.1.5 has the same limit of 65535 bytes."""
    file = tmp_path / "file"
    file.write_bytes(b"A=" + b"a" * 65533 + b"\n")
    assert len(*read_pairs(str(file))) == 65535
    for path in ("/dev/zero", str(file)):
        file.write_bytes(b"A=" + b"a" * 65534 + b"\n")
        with pytest.raises(ValueError, match="token too long"):
            list(read_pairs(path))


def test_the_last_of_several_pairs_with_one_name_wins():
    assert latest(["A=1", "B=2", "A=3", "C"]) == ["A=3", "B=2", "C"]
    assert latest(["A=1", "A"]) == ["A"]
