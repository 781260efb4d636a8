"""What the columns of tables of points are called, by program and by language."""

from __future__ import annotations

import re
import unicodedata

from spacer_tasks.annotations.points import Column, Coordinates

#: names in use, in the form of `plain`; `Name`, `Row`, `Column` and `Label` or `Label code` are
#: what CoralNet exports
SYNONYMS: dict[Column, tuple[str, ...]] = {
    "image": ("name", "image", "image name", "file name", "filename", "file", "photo"),
    "row": ("row", "y"),
    "column": ("column", "col", "x"),
    "label": ("label", "label code", "label id", "class"),
}
#: names that no other table has, taken first: people add columns of their own to TagLab's
SURE: dict[Column, tuple[str, ...]] = {
    "image": (),
    "row": ("taglab centroid y",),
    "column": ("taglab centroid x",),
    "label": ("taglab class name", "point human classification"),
}
#: further names, of the programs named, and in other languages; looked for where there is none of
#: the others, the first first
OF_PROGRAMS: dict[Column, tuple[str, ...]] = {
    # AIMS and ReefCloud; Squidle+; MERMAID; CoralNet before 2016; spreadsheets in German, French,
    # Spanish, Portuguese, Italian; at last, ids that name the files of open data
    "image": (
        "image path",
        "imagename",
        "image file",
        "image filename",
        "image file name",
        "imagefile",
        "original file name",
        "original filename",
        "media",
        "media key",
        "point.media.key",
        "media path",
        "photo name",
        "picture",
        "img",
        "bild",
        "bildname",
        "bilddatei",
        "dateiname",
        "datei",
        "foto",
        "fotoname",
        "fichier",
        "nom du fichier",
        "nom de l'image",
        "nom image",
        "imagen",
        "nombre de la imagen",
        "nombre de imagen",
        "nombre del archivo",
        "archivo",
        "imagem",
        "nome da imagem",
        "arquivo",
        "immagine",
        "afbeelding",
        "nom",
        "nombre",
        "nome",
        "filepath",
        "file path",
        "path",
        "image id",
    ),
    "row": (
        "point row",
        "annotation row",
        "image row",
        "point.row",
        "pointy",
        "point y",
        "point.y",
        "ypos",
        "y pos",
        "pos y",
        "posy",
        "y pixel",
        "pixel y",
        "y coord",
        "coord y",
        "y coordinate",
        "coordinate y",
        "taglab centroid y",
        "centroid y",
        "y center",
        "center y",
        "zeile",
        "y koordinate",
        "ligne",
        "coordonnee y",
        "fila",
        "coordenada y",
        "linha",
        "riga",
        "rij",
        "position y",
        "y position",
    ),
    "column": (
        "point column",
        "point col",
        "annotation column",
        "image column",
        "image col",
        "point.col",
        "point.column",
        "pointx",
        "point x",
        "point.x",
        "xpos",
        "x pos",
        "pos x",
        "posx",
        "x pixel",
        "pixel x",
        "x coord",
        "coord x",
        "x coordinate",
        "coordinate x",
        "taglab centroid x",
        "centroid x",
        "x center",
        "center x",
        "spalte",
        "x koordinate",
        "colonne",
        "coordonnee x",
        "columna",
        "coordenada x",
        "coluna",
        "colonna",
        "kolom",
        "position x",
        "x position",
    ),
    "label": (
        "label name",
        "label.name",
        "label short name",
        "point human classification",
        "human classification",
        "benthic attribute",
        "benthic attribute name",
        "taglab class name",
        "class name",
        "catami",
        "catami name",
        "catami classification",
        "catami class",
        "etikett",
        "bezeichnung",
        "klasse",
        "etiquette",
        "etiqueta",
        "rotulo",
        "etichetta",
        "raw data",
        "species",
        "taxon",
        "category",
        "art",
        "kategorie",
        "espece",
        "categorie",
        "especie",
        "specie",
        "soort",
        "categoria",
        "code",
        "catami code",
    ),
}
#: names of one pair; a row of one and a column of the other are not both positions
ROW_PAIR = ("row", "column", "col")
XY_PAIR = ("y", "x")
#: x and y in one cell: ReefCloud's and BIIGLE's, with a comma between
BOTH = ("x,y", "xy", "point coordinate", "point coordinates", "coordinates", "points")
#: what `spacer-tasks classify` writes, and the columns that it begins with
OWN = "predictions"
OWN_COLUMNS = ("image", "row", "column", "label", "probability")
#: the columns by which a program's file is known, and what it is called
KNOWN_FILES: dict[str, tuple[str, ...]] = {
    "BIIGLE": ("filename", "shape name", "points", "label name"),
    "Squidle+": ("point.x", "point.y"),
    "TagLab": ("image name", "taglab class name"),
    "coralnet-toolbox": ("name", "row", "column", "patch size"),
    "VISCORE": ("name", "row", "column", "dot"),
    "MERMAID": ("row", "column", "benthic attribute"),
    "MERMAID open data": ("image id", "row", "col", "benthic attribute id"),
    "CoralNet": ("name", "row", "column"),
    "CoralNet open data": ("image id", "row", "column", "label id"),
    "ReefCloud": ("point human classification",),
    "AIMS/ReefCloud": ("pointx", "pointy"),
}
#: what stands in brackets or at the end of a column's name, and how its numbers are given
UNITS: dict[str, Coordinates] = {
    **dict.fromkeys(("px", "pix", "pixel", "pixels"), "pixel"),
    **dict.fromkeys(("%", "percent", "pct", "perc"), "percent"),
    **dict.fromkeys(("norm", "normalized", "normalised", "rel", "relative"), "fraction"),
    **dict.fromkeys(("frac", "fraction"), "fraction"),
}
#: what stands there for lengths, which are no positions on a photo
LENGTHS = frozenset({"m", "cm", "mm", "inch", "in"})
BRACKETED = re.compile(r"(.*\S)\s*[(\[]\s*([^)\]]+?)\s*[)\]]")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def folded(text: str) -> str:
    """A text without case and accents."""
    apart = unicodedata.normalize("NFKD", text).casefold()
    return "".join(each for each in apart if not unicodedata.combining(each))


def plain(name: str) -> str:
    """A column's name as it is compared: without case, accents and the kind of spaces."""
    letters = folded(name.strip().lstrip("#").strip())
    return " ".join(re.split(r"[\s_-]+", letters.replace("\u2019", "'")))


def forms(name: str) -> dict[str, Coordinates | None]:
    """The names that a column's may stand for, each with the unit that was taken off.

    `Row (px)` is also `row` in pixels; `pointY` is also `point y`.
    """
    found: dict[str, Coordinates | None] = {plain(name): None}
    found.setdefault(plain(CAMEL.sub(" ", name)), None)
    # as R renames columns
    found.setdefault(plain(name.replace(".", " ")), None)
    for each in list(found):
        bracketed = BRACKETED.fullmatch(each)
        base, unit = bracketed.groups() if bracketed else ("", "")
        if not bracketed:
            base, _, unit = each.rpartition(" ")
        if base and unit in UNITS:
            found.setdefault(base, UNITS[unit])
    return found


def length_unit(name: str) -> str:
    """The unit of length that stands in a column's name; empty if none."""
    bracketed = BRACKETED.fullmatch(plain(name))
    unit = bracketed[2] if bracketed else plain(name).rpartition(" ")[2]
    return unit if unit in LENGTHS and unit != plain(name) else ""
