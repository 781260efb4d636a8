"""Protocol buffers' text format, which `.prototxt` files are in, as a tree of names and values.

Source of the grammar: "Text Format Language Specification" of Protocol Buffers. Values are kept as
they are written; what reads a field says which kind it must be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from spacer_tasks.exceptions import WeightsError

#: the largest known definitions (of nets with over a thousand layers) have 0.5 MB
MAX_BYTES = 2 * 2**20
#: a rule of a layer of a net is at depth 3
MAX_DEPTH = 16
#: characters of a name or a number; Python refuses integers of more than 4300 digits
MAX_WORD = 200

_TOKEN = re.compile(
    r"""(?P<space>(?:[\s]|\#[^\n]*)+)
      | (?P<word>[A-Za-z0-9_.+\-]+)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<mark>[{}<>\[\]:;,])""",
    re.VERBOSE,
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_ESCAPED = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}
_CLOSING = {"{": "}", "<": ">"}


@dataclass(frozen=True)
class Scalar:
    """A value as it is written, without quotes, and its line."""

    text: str
    quoted: bool
    line: int


#: the values of each name, in the order they stand in
Message = dict[str, list["Scalar | Message"]]


@dataclass(frozen=True)
class _Token:
    #: word, string, mark or end
    kind: str
    text: str
    line: int


def parse_text(data: bytes, name: str) -> Message:
    """The tree of a text; `name` says which file in errors.

    Raises
    ------
    WeightsError
        It is not in the text format; the error names the line.
    """
    if len(data) > MAX_BYTES:
        raise WeightsError(f"{name} has more than the {MAX_BYTES} bytes of the largest definitions")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WeightsError(
            f"{name} is not a text; expected a .prototxt, which is ({error})"
        ) from None
    return _Parser(text, name).parse()


class _Parser:
    """One pass over the tokens; open messages are on a list, so that depth costs no stack."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._tokens = self._tokenized(text)
        self._next = next(self._tokens)

    def parse(self) -> Message:
        root: Message = {}
        # each open message and the mark that closes it
        messages: list[tuple[Message, str]] = [(root, "")]
        while True:
            message, closing = messages[-1]
            token = self._take()
            if token.kind == "end" and not closing:
                return root
            if token.kind == "mark" and token.text == closing:
                messages.pop()
                self._skip_separator()
                continue
            if token.kind != "word" or not _NAME.match(token.text):
                raise self._error(token, f"expected a name{_or(closing)}")
            values = message.setdefault(token.text, [])
            after = self._take()
            if after.text == ":" and after.kind == "mark":
                after = self._take()
                if not self._opens(after):
                    self._read_values(after, values)
                    self._skip_separator()
                    continue
            if not self._opens(after):
                raise self._error(after, f"expected ':' or '{{' after {token.text}")
            if len(messages) == MAX_DEPTH:
                raise self._error(after, f"messages are nested more than {MAX_DEPTH} deep")
            inner: Message = {}
            values.append(inner)
            messages.append((inner, _CLOSING[after.text]))

    def _read_values(self, token: _Token, values: list[Scalar | Message]) -> None:
        if token.kind != "mark" or token.text != "[":
            values.append(self._scalar(token))
            return
        token = self._take()
        while not (token.kind == "mark" and token.text == "]"):
            values.append(self._scalar(token))
            token = self._take()
            if token.kind == "mark" and token.text == ",":
                token = self._take()
            elif not (token.kind == "mark" and token.text == "]"):
                raise self._error(token, "expected ',' or ']'")

    def _scalar(self, token: _Token) -> Scalar:
        if token.kind == "word":
            return Scalar(token.text, False, token.line)
        if token.kind != "string":
            raise self._error(token, "expected a value")
        parts = [token.text]
        # strings beside each other are one
        while self._next.kind == "string":
            parts.append(self._take().text)
        return Scalar("".join(self._unquoted(part, token.line) for part in parts), True, token.line)

    def _unquoted(self, quoted: str, line: int) -> str:
        def character(match: re.Match[bytes]) -> bytes:
            octal, hexadecimal, other = match.groups()
            if octal or hexadecimal:
                return bytes([(int(octal, 8) if octal else int(hexadecimal, 16)) & 255])
            return _ESCAPED.get(other, other)

        data = _ESCAPE.sub(character, quoted[1:-1].encode())
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise WeightsError(f"{self._name}, line {line}: {quoted[:50]} is not UTF-8") from None

    def _opens(self, token: _Token) -> bool:
        return token.kind == "mark" and token.text in _CLOSING

    def _skip_separator(self) -> None:
        if self._next.kind == "mark" and self._next.text in ";,":
            self._take()

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._next = next(self._tokens)
        return token

    def _tokenized(self, text: str) -> Iterator[_Token]:
        position, line = 0, 1
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise WeightsError(
                    f"{self._name}, line {line}: {text[position : position + 20]!r} is not of a"
                    " .prototxt"
                )
            found = match.group()
            if match.lastgroup == "word" and len(found) > MAX_WORD:
                raise WeightsError(f"{self._name}, line {line}: {found[:20]}… is too long")
            if match.lastgroup != "space":
                yield _Token(match.lastgroup or "", found, line)
            position = match.end()
            line += found.count("\n")
        yield _Token("end", "the end", line)

    def _error(self, token: _Token, expected: str) -> WeightsError:
        return WeightsError(f"{self._name}, line {token.line}: {expected}, found {token.text[:50]}")


def _or(closing: str) -> str:
    return f" or '{closing}'" if closing else ""
