"""Names as paths of all systems and as addresses."""

from __future__ import annotations

import pytest

from spacer_tasks.annotations.image_names import relative_name


@pytest.mark.parametrize(
    ("text", "name", "foreign"),
    [
        ("A.jpg", "A.jpg", False),
        (" ./SiteA/A.jpg ", "SiteA/A.jpg", False),
        (r"SiteA\A.jpg", "SiteA/A.jpg", False),
        (r"C:\pics\A.jpg", "C:/pics/A.jpg", True),
        ("C:A.jpg", "A.jpg", True),
        (r"\\server\share\A.jpg", "server/share/A.jpg", True),
        ("/home/me/A.jpg", "home/me/A.jpg", True),
        ("../data/A.jpg", "data/A.jpg", True),
        ("~/pics/A.jpg", "pics/A.jpg", True),
        ("https://x.org/img/my%20A.jpg?sig=1#x", "x.org/img/my%20A.jpg", True),
        ("s3://bucket/img/A.jpg", "bucket/img/A.jpg", True),
        ("A #2 50%.jpg", "A #2 50%.jpg", False),
    ],
)
def test_a_name_is_a_relative_path(text: str, name: str, foreign: bool) -> None:
    assert relative_name(text) == (name, foreign)


@pytest.mark.parametrize("text", ["", " ", "folder/", "..", "a\0b", "A.jpg,1,2\nB.jpg"])
def test_what_names_no_file_is_none(text: str) -> None:
    assert relative_name(text)[0] is None
