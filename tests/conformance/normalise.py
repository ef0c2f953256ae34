"""Replace the parts of a scenario's transcript that differ from run to run: ids, times, free ports and file paths."""

from __future__ import annotations

import re
from collections.abc import Mapping

ID = re.compile(r"\b[0-9a-f]{64}\b")
VETH = re.compile(r"\bveth[0-9a-f]{7}\b")
SHORT_ID = re.compile(r"\b[0-9a-f]{12}\b")
TIME = re.compile(r"\b(?!0001)\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d| [+-]\d{4} [A-Z]+)")
AGE = re.compile(r"\b(Less than a second|About an? \w+|\d+ (second|minute|hour)s?)\b( ago)?")
FREE_PORT = re.compile(r"(?<![\d.])(3276[89]|327[7-9]\d|32[89]\d\d|3[3-9]\d{3}|[45]\d{4}|60\d{3})(?!\d)")
NETNS = re.compile(r"/[\w./-]*netns/[0-9a-f]{12}\b")
PID = re.compile(r'("Pid": ?)[1-9]\d*')


class Normaliser:
    """The ids, times and paths to replace in the output of one scenario on one target.

    An id is replaced by the same number everywhere in the scenario.
    """

    def __init__(self, program: str, places: Mapping[str, str]) -> None:
        self.program, self.places = program, places
        self.ids: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        for path, name in self.places.items():
            text = text.replace(path, name)
        text = re.sub(rf"(?<![\w/.-]){self.program}\b", "docker", text)
        text = VETH.sub("<veth>", NETNS.sub("<netns>", text))
        text = ID.sub(lambda m: f"<id{self.number(m[0])}>", text)
        text = SHORT_ID.sub(lambda m: f"<id{self.number(m[0])}:12>", text)
        text = FREE_PORT.sub("<port>", TIME.sub("<time>", PID.sub(r"\1<pid>", text)))
        return self.aged(text)

    def aged(self, text: str) -> str:
        """Replace ages in a text, such as "2 minutes ago".

        The width of an age changes the width of its column. If the text has ages, the blanks between the columns are
        therefore shortened too.
        """
        aged = AGE.sub("<age>", text)
        return aged if aged == text else re.sub(r" {2,}", "  ", aged)

    def number(self, identifier: str) -> int:
        for known, number in self.ids.items():
            if known[: len(identifier)] == identifier or identifier.startswith(known):
                return number
        return self.ids.setdefault(identifier, len(self.ids) + 1)
