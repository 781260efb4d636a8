"""Coral Point Count's files of versions 3 and 4, of any scale, code file and locale."""

from __future__ import annotations

import pytest

from spacer_tasks.annotations.formats.cpce import cpc_table, cpc_text, is_cpc
from spacer_tasks.annotations.placing import PhotoShape, placed
from spacer_tasks.annotations.points import PointsFile, ReadOptions
from spacer_tasks.annotations.reading import read_points, read_points_file
from spacer_tasks.exceptions import PointsFileError


def cpc(
    first: str = r'"C:\CPCe\codes.txt","C:\pics\A.jpg"',
    units: int = 15,
    position: str = "",
    between: str = ",",
    codes: str = '"1","SAND","Notes",""',
) -> str:
    width, height = 600 * units, 450 * units
    corners = [(0, height), (width, height), (width, 0), (0, 0)]
    lines = [f"{first},{width},{height},{width},{height}", *(f"{x},{y}" for x, y in corners), "1"]
    lines += [position or f"{30 * units},{12 * units}", codes]
    text = "".join(f"{line}\r\n" for line in lines)
    return text.replace(",", between) if between != "," else text


def read(text: str) -> PointsFile:
    return read_points({"A.cpc": text.encode()}, "A.cpc", ReadOptions())


@pytest.mark.parametrize(
    "text",
    [
        cpc(),
        cpc(units=12),
        cpc(units=1),
        cpc(first=r"C:\codes.txt,C:\pics\A.jpg", codes="A,SAND,Notes,"),
        cpc(first=r'"C:\my codes.csv","C:\pics\A.jpg"'),
        cpc(first=r'"","C:\pics\A.jpg"'),
        cpc(between=";"),
        cpc(codes='"A","SAND","Notes","BL"') + '" "\r\n' * 28,
    ],
)
def test_a_file_of_any_scale_and_code_file_gives_the_same_point(text: str) -> None:
    file = read(text)
    assert file.kind == "CPCe .cpc"
    (points,) = file.images.values()
    (point,) = placed(points, PhotoShape(600, 450), apply_exif=False).inside
    assert (point.row, point.column, point.label) == (12, 30, "SAND")


@pytest.mark.parametrize("position", ["9450,180", "-15,180", "450,6750"])
def test_a_position_beyond_the_photo_is_a_point_outside(position: str) -> None:
    file = read(cpc(position=position))
    (points,) = file.images.values()
    result = placed(points, PhotoShape(600, 450), apply_exif=False)
    # its lower edge is its last row
    assert len(result.outside) == (position != "450,6750")


def test_another_photo_of_the_same_name_is_refused() -> None:
    file = read(cpc())
    ((name, points),) = file.images.items()
    drawn_on = file.shapes[name]
    for shape, why in [
        (PhotoShape(450, 600), "was it made smaller, cut or turned since?"),
        (PhotoShape(450, 600, orientation=6), "turns it: give --apply-exif"),
    ]:
        result = placed(points, shape, apply_exif=False, drawn_on=drawn_on)
        assert not result.inside
        assert result.text().endswith(why)
    smaller = placed(points, PhotoShape(1200, 900), apply_exif=False, drawn_on=drawn_on)
    assert (smaller.inside[0].row, smaller.inside[0].column) == (24, 60)


def test_what_is_written_is_read_back_equal() -> None:
    points = [(12, 30, "SAND", "93.2%"), (449, 599, 'the "C"', "")]
    file = read(cpc_text("SiteA/A.jpg", (600, 450), points))
    assert list(file.images) == ["SiteA/A.jpg"]
    result = placed(
        file.images["SiteA/A.jpg"],
        PhotoShape(600, 450),
        apply_exif=False,
        drawn_on=file.shapes["SiteA/A.jpg"],
    )
    assert [(p.row, p.column, p.label) for p in result.inside] == [
        (12, 30, "SAND"),
        (449, 599, "the C"),
    ]


def test_a_table_of_six_columns_is_no_cpce_file() -> None:
    assert not is_cpc("a,b,1,2,3,4\nc,d,5,6,7,8\n")
    assert not is_cpc("")


HEAD = '"c.txt","D:\\a.jpg",9000,6750,9000,6750\n0,{border}\n9000,{border}\n9000,0\n0,0\n'


def test_a_position_is_never_taken_for_a_code() -> None:
    text = HEAD.format(border=6750) + '1\n450,180\n450,190\n"1","POR","Notes",""\n'
    with pytest.raises(
        PointsFileError, match="says 1 points and has more positions: found '450,190'"
    ):
        read_points_file(text.encode(), "a.cpc")


def test_a_border_beyond_the_photo_shows_that_a_size_is_wrong() -> None:
    text = HEAD.format(border=13500) + '1\n450,180\n"1","POR","Notes",""\n'
    with pytest.raises(PointsFileError, match="whose border reaches to 13500 on a photo of 9000 x"):
        read_points_file(text.encode(), "a.cpc")


def test_two_files_of_one_photo_that_disagree_are_named() -> None:
    files = {
        f"{name}/a.cpc": (
            HEAD.format(border=6750) + f'1\n450,180\n"1","{code}","Notes",""\n'
        ).encode()
        for name, code in (("jo", "POR"), ("bo", "CCA"))
    }
    file = read_points(files, "folder", ReadOptions())
    said = "jo/a.cpc, line 7 and bo/a.cpc, line 7: two labels for one point"
    assert said in " ".join(file.warnings)


@pytest.mark.parametrize("corner", ["", '""', "1", "a,b"])
def test_a_corner_that_is_no_position_is_refused_with_its_line(corner: str) -> None:
    text = (
        f'"C:\\c.txt","C:\\a.jpg",1500,1500,100,100\n{corner}\n1500,0\n1500,1500\n0,1500\n1\n'
        '10,10\n"1","A","Notes",""\n'
    )
    with pytest.raises(PointsFileError, match=r"a\.cpc: line 2: found"):
        cpc_table(text, "a.cpc")
