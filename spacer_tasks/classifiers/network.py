"""Which network a classifier's features came from, beside that of the features it is given.

A network is an extractor's identity: its name, its options, and the hash of each of its files. The
classifier file keeps those of its training under `trained["networks"]`, null for feature files
that do not say, as the reference's do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spacer_tasks.classifiers.model import Classifier

#: where `Classifier.trained` has the networks
NETWORKS = "networks"
#: what makes a network another; the precision it was run in does not
COMPARED = ("name", "options", "files")
#: characters of a hash that are shown
HASH_SHOWN = 8


def known_networks(classifier: Classifier) -> list[dict[str, Any] | None]:
    """The networks of the training's features; none where the file is too old to say."""
    networks = classifier.trained.get(NETWORKS)
    return networks if isinstance(networks, list) else []


def other_network(classifier: Classifier, identity: object) -> str | None:
    """Why features do not fit the classifier; None if they do, or if one of both does not say.

    Parameters
    ----------
    identity
        The extractor that a feature file names, or None.
    """
    networks = known_networks(classifier)
    if not networks or None in networks or not isinstance(identity, Mapping):
        return None
    if any(network_parts(identity) == network_parts(each) for each in networks if each):
        return None
    own = " or ".join(shown_network(each) for each in networks if each is not None)
    return (
        f"its features are from {shown_network(identity)}; the classifier was trained on those of"
        f" {own}"
    )


def network_parts(identity: Mapping[str, Any]) -> list[Any]:
    """What two networks have in common if they are one, whatever precision they were run in."""
    return [identity.get(key) for key in COMPARED]


def shown_network(identity: Mapping[str, Any]) -> str:
    """A network's name, and the beginning of its hashes."""
    files = identity.get("files")
    hashes = [str(each)[:HASH_SHOWN] for each in files.values()] if isinstance(files, dict) else []
    options = identity.get("options")
    given = f" with {options}" if options else ""
    of = f" (sha256 {', '.join(hashes)}…)" if hashes else ""
    name = str(identity.get("name")).rpartition(".")[2]
    return f"{name}{of}{given}"
