"""Which classifier files are converted, and where each goes."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ObjectNotFoundError, StorageError
from spacer_tasks.storage.listing import list_at


@dataclass(frozen=True)
class Planned:
    """A file to convert.

    Attributes
    ----------
    name
        Its path below the folder that is converted.
    onto_itself
        Whether it would be replaced by its own conversion.
    rivals
        Other files that would go to the same target.
    target_is_a_source
        Whether what lies at the target is one of the files to convert.
    named
        Whether it was named by itself, not found in a folder: it is meant to be a classifier.
    """

    name: str
    source: DataLocation
    target: DataLocation
    onto_itself: bool = False
    rivals: tuple[DataLocation, ...] = ()
    target_is_a_source: bool = False
    named: bool = False


def plan_conversion(
    source: DataLocation, target: DataLocation, *, suffix: str | None = None, match: str = "*"
) -> list[Planned]:
    """What there is to convert, and where each file would go, sorted by name.

    Parameters
    ----------
    source
        A classifier, or a folder or prefix of them. What lies in a `target` below it is left out.
    target
        The folder for the conversions, which keep their names. For one classifier the file, or a
        folder where the key ends in a slash or there is one.
    suffix
        Replaces the extension of each name in a folder; starts with a dot.
    match
        Of a folder only files whose path below it fits this pattern (`*.model`).

    Raises
    ------
    ObjectNotFoundError
        There is nothing at `source` to convert.
    StorageError
        `target` cannot be written to, or each conversion would replace its source.
    StorageUnavailableError
        The storage did not answer.
    """
    if not target.is_writable:
        raise StorageError(f"{target}: nothing can be written to a {target.storage_type} location")
    found = list_at(source)
    if found.single:
        files = found.files
        targets = {
            name: target.joined(_renamed(name, suffix)) if _is_folder(target) else target
            for name in files
        }
    else:
        # made by an earlier run
        inside = _is_below(target, source)
        files = {
            name: loc
            for name, loc in found.files.items()
            if fnmatchcase(name, match) and not (inside and _is_below(loc, target))
        }
        if not files:
            raise ObjectNotFoundError(f"{source}: no files that match {match!r}")
        targets = {name: target.joined(_renamed(name, suffix)) for name in files}
    plan = _plan(files, targets, named=found.single)
    if all(each.onto_itself for each in plan):
        raise StorageError(
            f"{target}: conversions would replace what they are made from; give another folder,"
            " or another suffix"
        )
    return plan


def _plan(
    files: dict[str, DataLocation], targets: dict[str, DataLocation], *, named: bool
) -> list[Planned]:
    sources = {name: _resolved(loc) for name, loc in files.items()}
    ends = {name: _resolved(loc) for name, loc in targets.items()}
    going_to: dict[DataLocation, list[str]] = {}
    for name in files:
        # a file that lies where it would go takes no other's place
        if sources[name] != ends[name]:
            going_to.setdefault(ends[name], []).append(name)
    taken = set(sources.values())
    plan = []
    for name, source in files.items():
        onto_itself = sources[name] == ends[name]
        others = [] if onto_itself else [each for each in going_to[ends[name]] if each != name]
        rivals = tuple(files[each] for each in others)
        a_source = ends[name] in taken
        plan.append(Planned(name, source, targets[name], onto_itself, rivals, a_source, named))
    return plan


def _renamed(name: str, suffix: str | None) -> str:
    if suffix is None:
        return name
    folder, slash, filename = name.rpartition("/")
    return folder + slash + (filename.rpartition(".")[0] or filename) + suffix


def _is_folder(loc: DataLocation) -> bool:
    return loc.key.endswith("/") or (loc.storage_type == "filesystem" and Path(loc.key).is_dir())


def _is_below(loc: DataLocation, folder: DataLocation) -> bool:
    same = (loc.storage_type, loc.bucket_name) == (folder.storage_type, folder.bucket_name)
    return same and loc.key.rstrip("/").startswith(folder.key.rstrip("/") + "/")


def _resolved(loc: DataLocation) -> DataLocation:
    """Where a path leads: a linked folder is the folder itself."""
    if loc.storage_type != "filesystem":
        return loc
    return loc.model_copy(update={"key": str(Path(loc.key).resolve())})
