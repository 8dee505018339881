"""The manual page: it has all commands, and no text of it is taken for a macro."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MACROS = {".TH", ".SH", ".SS", ".TP", ".PP", ".RS", ".RE", ".nf", ".fi"}


@pytest.fixture(scope="module")
def man():
    return runpy.run_path(str(ROOT / "docs" / "man.py"))


@pytest.fixture(scope="module")
def page(man):
    return man["page"](man["SOURCE"].read_text("utf-8"), "1.2.3")


def test_all_commands_have_a_section(page, man):
    commands = re.findall(r"^#+ `(lstm .+)`$", man["SOURCE"].read_text("utf-8"), re.MULTILINE)
    sections = re.findall(r"^\.S[HS] (lstm .+)$", page, re.MULTILINE)
    assert sections == [command.replace("-", "\\-") for command in commands]
    assert "lstm serve" in sections
    assert ".TP\n\\fB\\-\\-fail\\-on leak\\fR\n" in page


def test_only_macros_begin_with_a_dot(page):
    begun = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert begun - {'.\\"'} <= MACROS


def test_text_is_kept_as_it_is(man):
    text = "# L\n\nSum.\n\n```\n.x 'a\\b' -o\n```\n\n.dot **bold** `--code`\n"
    assert man["page"](text, "1").endswith(
        ".RS 4\n.nf\n\\&.x 'a\\eb' \\-o\n.fi\n.RE\n.PP\n\\&.dot \\fBbold\\fR \\fB\\-\\-code\\fR\n"
    )


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
def test_mandoc_has_no_warning_but_for_the_date(page):
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning"], input=page, capture_output=True, text=True
    )
    warnings = [line for line in done.stdout.splitlines() if "missing date" not in line]
    assert warnings == []
