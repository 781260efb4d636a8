"""The fields of one message of a definition: each read as what it must be, and no other left over.

Caffe refuses a field that it does not know; so do these, once a reader has said that it has taken
all that it knows (`check_all_known`). A misspelt option would otherwise be a default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.caffe.formats.text_format import Message, Scalar

_INTEGER = re.compile(r"-?(?:0[xX][0-9A-Fa-f]+|[0-9]+)\Z")
_NUMBER = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?\Z")
#: of Caffe's integers, which are 32 bits wide
_LARGEST = 2**31 - 1
_TRUE, _FALSE = {"true", "True", "t", "1"}, {"false", "False", "f", "0"}


class Fields:
    """A message and where it stands, for errors: `layer conv1: convolution_param`."""

    def __init__(self, message: Message, where: str) -> None:
        self.where = where
        self._message = message
        self._known: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether the field is set."""
        self._known.add(name)
        return name in self._message

    def error(self, text: str) -> WeightsError:
        """An error that says where."""
        return WeightsError(f"{self.where}: {text}")

    def text(self, name: str, default: str | None = None) -> str:
        """A quoted text; where `default` is None it must be there."""
        scalar = self._one(name)
        if scalar is None:
            if default is None:
                raise self.error(f"{name} is missing")
            return default
        return self._text(name, scalar)

    def texts(self, name: str) -> list[str]:
        """All values of a repeated text."""
        return [self._text(name, scalar) for scalar in self._scalars(name)]

    def integer(self, name: str, default: int | None = None, least: int = 0) -> int:
        """An integer from `least`; where `default` is None it must be there."""
        scalar = self._one(name)
        if scalar is None:
            if default is None:
                raise self.error(f"{name} is missing")
            return default
        return self._integer(name, scalar, least)

    def integers(self, name: str, least: int = 0) -> list[int]:
        """All values of a repeated integer."""
        return [self._integer(name, scalar, least) for scalar in self._scalars(name)]

    def number(self, name: str, default: float) -> float:
        """A finite number."""
        scalar = self._one(name)
        return default if scalar is None else self._number(name, scalar)

    def numbers(self, name: str) -> list[float]:
        """All values of a repeated number."""
        return [self._number(name, scalar) for scalar in self._scalars(name)]

    def boolean(self, name: str, default: bool) -> bool:
        """True or false."""
        scalar = self._one(name)
        if scalar is None:
            return default
        if scalar.quoted or scalar.text not in _TRUE | _FALSE:
            raise self._wrong(name, scalar, "true or false")
        return scalar.text in _TRUE

    def choice(self, name: str, choices: Mapping[str, int], default: str) -> str:
        """One of the names of an enumeration, which may also be written as its number."""
        scalar = self._one(name)
        if scalar is None:
            return default
        by_number = {str(number): choice for choice, number in choices.items()}
        found = by_number.get(scalar.text, scalar.text)
        if scalar.quoted or found not in choices:
            raise self._wrong(name, scalar, f"one of {', '.join(choices)}")
        return found

    def message(self, name: str) -> Fields:
        """The message of this name; an empty one where there is none."""
        messages = self.messages(name)
        if len(messages) > 1:
            raise self.error(f"{name} is set {len(messages)} times")
        return messages[0] if messages else Fields({}, f"{self.where}: {name}")

    def messages(self, name: str) -> list[Fields]:
        """All messages of this name."""
        self._known.add(name)
        values = self._message.get(name, [])
        for value in values:
            if isinstance(value, Scalar):
                raise self._wrong(name, value, "'{'")
        return [Fields(value, f"{self.where}: {name}") for value in values if type(value) is dict]

    def ignore(self, names: Iterable[str]) -> None:
        """Let fields be that mean nothing for what a net computes."""
        self._known.update(names)

    def check_all_known(self, also: re.Pattern[str] | None = None) -> None:
        """Refuse fields that nothing asked for and whose name does not match `also`."""
        for name in self._message:
            if name not in self._known and not (also and also.fullmatch(name)):
                raise self.error(f"no field {name[:50]} is known")

    def _scalars(self, name: str) -> list[Scalar]:
        self._known.add(name)
        values = self._message.get(name, [])
        scalars = [value for value in values if isinstance(value, Scalar)]
        if len(scalars) != len(values):
            raise self.error(f"{name} is a message, expected a value")
        return scalars

    def _one(self, name: str) -> Scalar | None:
        scalars = self._scalars(name)
        if len(scalars) > 1:
            raise self.error(
                f"{name} is set {len(scalars)} times (again in line {scalars[1].line})"
            )
        return scalars[0] if scalars else None

    def _text(self, name: str, scalar: Scalar) -> str:
        if not scalar.quoted:
            raise self._wrong(name, scalar, "a text in quotes")
        return scalar.text

    def _integer(self, name: str, scalar: Scalar, least: int) -> int:
        if scalar.quoted or not _INTEGER.match(scalar.text):
            raise self._wrong(name, scalar, "an integer")
        text = scalar.text
        # as C writes them: 0x10 and 010
        octal = text.lstrip("-").startswith("0") and text.lstrip("-").isdecimal()
        try:
            value = int(text, 8 if octal else 0)
        except ValueError:
            raise self._wrong(name, scalar, "an integer") from None
        if not least <= value <= _LARGEST:
            raise self._wrong(name, scalar, f"an integer from {least} to {_LARGEST}")
        return value

    def _number(self, name: str, scalar: Scalar) -> float:
        if scalar.quoted or not _NUMBER.match(scalar.text):
            raise self._wrong(name, scalar, "a number")
        value = float(scalar.text.rstrip("fF"))
        if not math.isfinite(value):
            raise self._wrong(name, scalar, "a finite number")
        return value

    def _wrong(self, name: str, scalar: Scalar, expected: str) -> WeightsError:
        return self.error(
            f"{name} in line {scalar.line} is {scalar.text[:50]!r}, expected {expected}"
        )
