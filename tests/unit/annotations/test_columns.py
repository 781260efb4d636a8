"""Columns by their names in other forms: units, capitals, languages, twice."""

from __future__ import annotations

from typing import Any

import pytest

from spacer_tasks.annotations.points import PointsFile, ReadOptions
from spacer_tasks.annotations.reading import read_points
from spacer_tasks.exceptions import PointsFileError


def read(text: str, **options: Any) -> PointsFile:
    return read_points({"s.csv": text.encode()}, "s.csv", ReadOptions(**options))


@pytest.mark.parametrize(
    "header",
    [
        "IMAGE_NAME,POS_Y,POS_X,LABEL_CODE",
        "imageName,pointY,pointX,labelName",
        "image.name,point.row,point.col,label.code",
        "Image.name,Row,Column,Label",
        '" Name ","Row\n(px)","Column\n(px)"," Label "',
        "Name,Row [pixels],Column [pixels],Label",
        "Bilddatei,Y-Koordinate,X-Koordinate,Kategorie",
        "Dateiname,Zeile,Spalte,Bezeichnung",
        "Nom de l\u2019image,Ligne,Colonne,Catégorie",
        "Nom,Ligne,Colonne,ESPECE",
        "Nombre de la imagen,Fila,Columna,Especie",
        "Imagem,Linha,Coluna,Rótulo",
        "Immagine,Riga,Colonna,Etichetta",
        "Original file name,Row,Column,Label",
        "image_id,row,col,benthic_attribute_name",
    ],
)
def test_a_column_is_known_in_other_forms(header: str) -> None:
    file = read(f"{header}\nA.jpg,12,30,Sand\n", labels_needed=True)
    assert [(p.row, p.column, p.label) for p in file.images["A.jpg"]] == [(12, 30, "Sand")]


@pytest.mark.parametrize(
    ("header", "row", "share"),
    [
        ("Name,X (%),Y (%),Label", "A.jpg,25,50,Sand", (0.5, 0.25)),
        ("Name,x_norm,y_norm,Label", "A.jpg,0.25,0.5,Sand", (0.5, 0.25)),
    ],
)
def test_the_unit_in_a_column_s_name_is_taken(
    header: str, row: str, share: tuple[float, float]
) -> None:
    assert read(f"{header}\n{row}\n").images["A.jpg"][0].share == share


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Row,Name,X,Y,Label", "1,A.jpg,30,12,Sand"),
        ("Name,X,Y,Row,Column,Label", "A.jpg,1.5,2.5,12,30,Sand"),
        ("Name,Column,Row,Label", "A.jpg,30,12,Sand"),
    ],
)
def test_row_and_column_are_of_one_pair(header: str, row: str) -> None:
    file = read(f"{header}\n{row}\n")
    assert (file.images["A.jpg"][0].row, file.images["A.jpg"][0].column) == (12, 30)


def test_the_column_of_labels_that_was_taken_of_several_is_named() -> None:
    file = read("filename,x,y,species,code,category\nA.jpg,30,12,Porites lobata,POR,Coral\n")
    assert file.images["A.jpg"][0].label == "Porites lobata"
    assert "labels are from 'species' (of 'species' and 'category'" in " ".join(file.warnings)


def test_of_two_columns_of_one_name_the_number_decides() -> None:
    text = "Name,Row,Column,Label,Label\nA.jpg,12,30,a,b\n"
    with pytest.raises(PointsFileError, match="with --label-column and its number, 4 or 5"):
        read(text)
    assert read(text, columns={"label": "5"}).images["A.jpg"][0].label == "b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Image,X (cm),Y (cm),Label\nA.jpg,30,12,S\n", "'X (cm)' and 'Y (cm)' are lengths"),
        # CoralNet's percent covers have a column called Points
        (
            "Name,Annotation status,Points,CCA\nA.jpg,Confirmed,25,20.0\n",
            "found '25', expected x,y",
        ),
        ("image_label_id,filename,label_name\n1,A.jpg,Coral\n", "labels of whole images"),
        ('video_id,video_filename,points\n1,A.mp4,"[1,2]"\n', "annotations of a video"),
        (
            "TagLab Region id,TagLab Class name,TagLab Centroid x,TagLab Centroid y\n1,a,2,3\n",
            "TagLab's table of regions",
        ),
        ("12;30;Sand\n", "the first line looks like a point"),
    ],
)
def test_a_table_without_points_says_what_it_is(text: str, said: str) -> None:
    with pytest.raises(PointsFileError) as error:
        read(text)
    assert said in str(error.value)
