"""Features of another network than the classifier's: warned of, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spacer_tasks.console import counted, listed, warn
from spacer_tasks.exceptions import FeatureFileError
from spacer_tasks.messages.tasks import ClassifyReturnMsg

if TYPE_CHECKING:
    from spacer_tasks.classifiers import Classifier

Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Refuse features of another network than the classifier was trained on."
    ),
]


def tell_unknown(classifier: Classifier) -> None:
    """Say that a classifier does not know its network, so that nothing can be compared."""
    # imported here: it needs numpy
    from spacer_tasks.classifiers.network import known_networks

    if None in (networks := known_networks(classifier)) or not networks:
        warn(
            "the classifier does not say which network all its features came from (it is older, or"
            " their files do not say), so whether these features fit it is not checked"
        )


class OtherNetworks:
    """The images of one command whose features are of another network.

    Parameters
    ----------
    strict
        Whether they are refused.
    """

    def __init__(self, strict: bool) -> None:
        self._strict = strict
        self._names: dict[str, list[str]] = {}

    def add(self, name: str, answer: ClassifyReturnMsg) -> None:
        """Note what an answer says.

        Raises
        ------
        FeatureFileError
            It is of another network, which is refused.
        """
        if answer.other_network and self._strict:
            raise FeatureFileError(
                f"{answer.other_network}; extract them again with that network, or leave out"
                " --strict"
            )
        if answer.other_network:
            self._names.setdefault(answer.other_network, []).append(name)

    def tell(self) -> None:
        """Warn, once for each network."""
        for why, names in self._names.items():
            warn(
                f"{counted(len(names), 'image')} ({listed(names)}): {why}. Predictions on another"
                " network's features mean nothing; --strict refuses them"
            )
