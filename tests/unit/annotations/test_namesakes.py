"""One name for two photos is refused, one label for two things is told."""

from __future__ import annotations

import pytest

from spacer_tasks.annotations.points import PointsFile, ReadOptions
from spacer_tasks.annotations.reading import read_points
from spacer_tasks.exceptions import PointsFileError

TRUE = ReadOptions(labels_needed=True)


def read(files: dict[str, str], options: ReadOptions = TRUE) -> PointsFile:
    name = next(iter(files)) if len(files) == 1 else "folder"
    return read_points({each: text.encode() for each, text in files.items()}, name, options)


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        # BIIGLE: a file's name is one photo's in its volume only
        (
            "filename,image_id,shape_name,points,label_name",
            ['A.jpg,9,Point,"[3,1]",Coral', 'A.jpg,10,Point,"[5,1]",Coral'],
            "in 'image_id' of several: A.jpg ('9' and '10')",
        ),
        (
            "Site,Name,Row,Column,Label",
            ["North,A.jpg,1,2,c", "South,A.jpg,3,4,c"],
            "put the folder before it, as North/A.jpg",
        ),
        (
            "point.media.key,point.media.id,point.x,point.y,label.name",
            ["K,1,0.1,0.2,c", "K,2,0.3,0.2,c"],
            "in 'point.media.id' of several",
        ),
        (
            "Name,Path,Row,Column,Patch Size,Label",
            ["A.jpg,C:\\1\\A.jpg,1,2,224,c", "A.jpg,C:\\2\\A.jpg,3,4,224,c"],
            "give --image-column 'Path', or read a part with --where",
        ),
    ],
)
def test_one_name_of_two_photos_is_refused(header: str, rows: list[str], said: str) -> None:
    with pytest.raises(PointsFileError) as error:
        read({"s.csv": "\n".join([header, *rows])})
    assert said in str(error.value)
    # one of them alone is a photo
    assert read({"s.csv": "\n".join([header, rows[0]])}).point_count == 1


def test_where_takes_one_of_two_photos() -> None:
    text = "Site,Name,Row,Column,Label\nNorth,A.jpg,1,2,c\nSouth,A.jpg,3,4,c\n"
    file = read({"s.csv": text}, ReadOptions(where=("Site=South",)))
    assert [(p.row, p.column) for p in file.images["A.jpg"]] == [(3, 4)]


@pytest.mark.parametrize(
    ("header", "rows", "column"),
    [
        (
            "filename,label_id,label_name,label_hierarchy,shape_name,points",
            [
                'A.jpg,2,Other,Coral > Other,Point,"[3,1]"',
                'A.jpg,3,Other,Algae > Other,Point,"[5,1]"',
            ],
            "label_hierarchy",
        ),
        (
            "label.id,label.lineage_names,label.name,point.media.key,point.x,point.y",
            ["1,Biota > A > Other,Other,K,0.1,0.2", "2,Biota > B > Other,Other,K,0.3,0.2"],
            "label.lineage_names",
        ),
    ],
)
def test_one_label_of_two_things_is_told_with_the_column_that_keeps_them_apart(
    header: str, rows: list[str], column: str
) -> None:
    text = "\n".join([header, *rows])
    said = [line for line in read({"s.csv": text}).warnings if "taken for one" in line]
    assert len(said) == 1
    assert f"1 label with several '{column}', taken for one: Other (" in said[0]
    apart = read({"s.csv": text}, ReadOptions(columns={"label": column}, labels_needed=True))
    assert len({point.label for some in apart.images.values() for point in some}) == 2


def test_files_below_a_folder_that_name_one_photo_are_told() -> None:
    header = "Name,Row,Column,Label\n"
    files = {"North/p.csv": f"{header}A.jpg,1,2,c\n", "South/p.csv": f"{header}A.jpg,3,4,c\n"}
    file = read(files)
    assert file.images.keys() == {"A.jpg"}
    said = "1 photo with points in several places, taken for one photo each: A.jpg (North/p.csv,"
    assert said in " ".join(file.warnings)


def test_files_that_name_their_photo_keep_its_folder() -> None:
    text = "# Row ; Column ; Label\n1 ; 2 ; CCA\n"
    file = read({"North/A.jpg.txt": text, "South/A.jpg.txt": text})
    assert list(file.images) == ["North/A.jpg", "South/A.jpg"]
    # the photos may lie elsewhere
    assert file.foreign == {"North/A.jpg", "South/A.jpg"}
