"""Adds the manual page, which is written from docs/cli.md, to the wheel."""

from __future__ import annotations

import runpy
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPage(BuildHookInterface):
    """Puts lstm(1) into share/man/man1 of the environment; it is written anew for each wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the page before the wheel is built.

        Args:
            version: Kind of the wheel: standard or editable.
            build_data: Of hatchling; receives the file.
        """
        man = runpy.run_path(str(Path(self.root) / "docs" / "man.py"))
        text = man["page"](man["SOURCE"].read_text("utf-8"), self.metadata.version)
        self._folder = Path(tempfile.mkdtemp())
        (self._folder / "lstm.1").write_text(text, "utf-8")
        build_data["shared_data"][str(self._folder / "lstm.1")] = "share/man/man1/lstm.1"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the file, which is in the wheel now."""
        shutil.rmtree(self._folder)
