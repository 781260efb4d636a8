"""What commands print of others' texts: no markup, no order to the terminal, no line of its own."""

from __future__ import annotations

import io

import pytest
import typer
from rich.table import Table
from rich.text import Text

from spacer_tasks import console

#: ends lines, moves the cursor, clears the screen, turns the direction of writing, is markup
HOSTILE = "a\x1b[2J\x9b1A\u202eb\x07 [/red] [link=http://evil]x :warning:"


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What both consoles print, to a terminal of colours."""
    stream = io.StringIO()
    for each in (console.out, console.err):
        monkeypatch.setattr(each, "_file", stream)
        monkeypatch.setattr(each, "_force_terminal", True)
        monkeypatch.setattr(each, "_color_system", None)
    return stream


def shown(text: str) -> None:
    assert "a\\x1b[2J\\x9b1A\\u202eb" in text
    assert "[/red] [link=http://evil]x :warning:" in text
    assert all(line.isprintable() for line in text.splitlines())


def test_a_text_tells_a_terminal_nothing(printed: io.StringIO) -> None:
    console.out.print(Text(HOSTILE), soft_wrap=True)
    shown(printed.getvalue())


def test_a_label_in_a_table_tells_a_terminal_nothing(printed: io.StringIO) -> None:
    table = Table(box=None)
    table.add_column("label", no_wrap=True)
    table.add_row(HOSTILE)
    console.out.print(table, width=200)
    shown(printed.getvalue())


def test_json_tells_a_terminal_nothing(printed: io.StringIO) -> None:
    console.out.print_json(data={"a": "\x9b1A\u202e"})
    assert all(line.isprintable() for line in printed.getvalue().splitlines())


@pytest.mark.parametrize("call", [console.say, console.warn, console.complain])
def test_a_name_begins_no_line(call: object, printed: io.StringIO) -> None:
    call(f"{HOSTILE}\nerror: forged\n  a line of a list")  # type: ignore[operator]
    lines = printed.getvalue().splitlines()
    assert len(lines) == 2
    assert "forged" in lines[0]
    shown(lines[0])


def test_facts_and_failures_begin_no_line(printed: io.StringIO) -> None:
    console.print_facts({"a\nb": "c\nerror: forged"})
    with pytest.raises(typer.Exit):
        console.end_with({"a\nerror: forged": "b\nerror: forged"})
    assert not [line for line in printed.getvalue().splitlines() if line.startswith("error")]


def test_a_terminal_s_colours_stay(printed: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    colours = console._Console(file=printed, force_terminal=True, color_system="standard")
    colours.print(Text("reef", style="red"))
    assert printed.getvalue() == "\x1b[31mreef\x1b[0m\n"


def test_spaces_that_keep_a_number_with_its_unit_stay(printed: io.StringIO) -> None:
    table = Table(box=None)
    table.add_row("41\u00a0s", "1\u202f000", "\u3000")
    console.out.print(table, width=200)
    console.print_facts({"time": "41\u00a0s"})
    console.say("93.5\u00a0%")
    text = printed.getvalue()
    assert text.count("41\u00a0s") == 2
    assert "1\u202f000" in text
    assert "93.5\u00a0%" in text
    assert "\\" not in text


@pytest.mark.parametrize("name", ["[/x].jpg", "[/]", "[bold]a.jpg"])
def test_a_name_beside_a_progress_bar_is_no_markup(name: str, printed: io.StringIO) -> None:
    with console.progress_bar() as progress:
        progress.add_task(name, total=3, note=console.short(name))
    assert printed.getvalue().count(name) == 2
