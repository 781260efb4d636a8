"""One name for two photos, and one label for two things, known by the columns beside them."""

from __future__ import annotations

from collections.abc import Sequence

from spacer_tasks.annotations.column_names import plain
from spacer_tasks.annotations.problems import shown_value
from spacer_tasks.console import counted, listed

#: columns that have one value for a photo: ids, and what the photos of a survey are sorted by
OF_PHOTOS = frozenset(
    {"image id", "photo id", "media id", "point media id", "image path", "file path", "filepath"}
    | {"path"}
    | {"site", "site id", "site name", "site code", "reef", "reef name", "survey", "survey id"}
    | {"station", "transect", "transect id", "deployment", "folder", "directory", "dive"}
    | {"point media deployment key", "volume id", "project id", "survey title"}
)
#: columns that have one value for a label, those that say most first
OF_LABELS = (
    *("label lineage names", "label hierarchy", "label lineage", "label code", "label id"),
    "label uuid",
)
#: values that a text shows of each name
SHOWN = 2


class Namesakes:
    """Notes what stands beside each name of a table, and tells names that stand for several."""

    def __init__(self, header: Sequence[str], image: int | None, label: int | None) -> None:
        names = [plain(each.replace(".", " ")) for each in header]
        self._header = header
        self._photos = _Beside([i for i, each in enumerate(names) if each in OF_PHOTOS], image)
        of_labels = [names.index(each) for each in OF_LABELS if each in names]
        self._labels = _Beside(of_labels, label)

    def take(self, fields: Sequence[str], image: str, label: object) -> None:
        """Look at a row."""
        self._photos.take(fields, image)
        if isinstance(label, str):
            self._labels.take(fields, label)

    def problems(self) -> list[str]:
        """Photos' names that stand for several photos, one line for each column that shows it."""
        found = []
        for place, names in self._photos.several().items():
            name, (value, *_) = next(iter(names.items()))
            column = self._header[place]
            how = f"put the folder before it, as {value}/{name},"
            if value.replace("\\", "/").endswith(f"/{name}"):
                how = f"give --image-column {column!r},"
            found.append(
                f"{counted(len(names), 'name')} of photos in {column!r} of several:"
                f" {_shown(names)}; expected one photo for a name: {how} or read a part with"
                " --where"
            )
        return found

    def warnings(self) -> list[str]:
        """Labels that stand for several things, by the first column that shows it."""
        return [
            f"{counted(len(names), 'label')} with several {self._header[place]!r}, taken for one:"
            f" {_shown(names)}; --label-column {self._header[place]!r} keeps them apart"
            for place, names in list(self._labels.several().items())[:1]
        ]


class _Beside:
    """The values that stand in some columns beside a name."""

    def __init__(self, places: Sequence[int], name: int | None) -> None:
        # values as keys: a column can have another one in each of a million rows
        self._found: dict[int, dict[str, dict[str, None]]] = {
            place: {} for place in places if place != name and name is not None
        }

    def take(self, fields: Sequence[str], name: str) -> None:
        for place, found in self._found.items():
            value = fields[place] if place < len(fields) else ""
            if value:
                found.setdefault(name, {})[value] = None

    def several(self) -> dict[int, dict[str, list[str]]]:
        """By column, the names with more than one value."""
        several = {
            place: {name: list(values) for name, values in found.items() if len(values) > 1}
            for place, found in self._found.items()
        }
        return {place: names for place, names in several.items() if names}


def _shown(names: dict[str, list[str]]) -> str:
    return listed(
        [
            f"{name} ({' and '.join(map(shown_value, values[:SHOWN]))}"
            f"{', …' if len(values) > SHOWN else ''})"
            for name, values in names.items()
        ]
    )
