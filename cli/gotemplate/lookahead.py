"""Read a template's tokens with a look-ahead of three tokens, and create the errors for unexpected tokens.

As in Go, an error names the line of the last token that was read.
"""

from __future__ import annotations

from cli.gotemplate.errors import TemplateSyntaxError
from cli.gotemplate.lexer import Lexer, Token

_NO_TOKEN = Token("eof", 0, "", 0)


class Lookahead:
    """A buffer of the tokens that were read from one lexer, including tokens that were pushed back to be read again."""

    def __init__(self, lexer: Lexer) -> None:
        self.lexer = lexer
        self._tokens = [_NO_TOKEN, _NO_TOKEN, _NO_TOKEN]
        self._peeked = 0
        self._action_line = 0

    def _next(self) -> Token:
        if self._peeked:
            self._peeked -= 1
        else:
            self._tokens[0] = self.lexer.next_token()
        return self._tokens[self._peeked]

    def _push_back(self, *tokens: Token) -> None:
        """Push back the token that was read last, and ``tokens``, the tokens that were read directly before it.

        ``tokens`` has at most two tokens, the newest first. All these tokens are read again in the order of the source.
        """
        for index, token in enumerate(tokens, 1):
            self._tokens[index] = token
        self._peeked = 1 + len(tokens) if tokens else self._peeked + 1

    def _peek(self) -> Token:
        if not self._peeked:
            self._peeked = 1
            self._tokens[0] = self.lexer.next_token()
        return self._tokens[self._peeked - 1]

    def _next_non_space(self) -> Token:
        token = self._next()
        while token.kind == "space":
            token = self._next()
        return token

    def _peek_non_space(self) -> Token:
        token = self._next_non_space()
        self._push_back()
        return token

    def _error(self, text: str) -> TemplateSyntaxError:
        return TemplateSyntaxError(f"template: :{self._tokens[0].line}: {text}")

    def _unexpected(self, token: Token, context: str) -> TemplateSyntaxError:
        if token.kind != "error":
            return self._error(f"unexpected {token} in {context}")
        extra = ""
        if self._action_line not in (0, token.line):
            extra = f" started at :{self._action_line}"
            if not token.value.endswith(" action"):
                extra = " in action" + extra
        return self._error(f"{token}{extra}")

    def _expect(self, kind: str, context: str) -> Token:
        token = self._next_non_space()
        if token.kind != kind:
            raise self._unexpected(token, context)
        return token
