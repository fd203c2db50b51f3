"""A text through the person's own editor, as git does it. Knows nothing of the project."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from streamrec.errors import UserError

_OPEN = ["sh", "-c", '${VISUAL:-${EDITOR:-vi}} "$1"', "editor"]
"""The shell finds the editor and splits its options ("code --wait")."""


def edited(text: str, suffix: str) -> str:
    """``text`` as the editor left it. Raises UserError when the editor fails."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"value{suffix}"
        path.write_text(text, "utf-8")
        done = subprocess.run([*_OPEN, str(path)], check=False)  # noqa: S603 - the person's own
        if done.returncode:
            raise UserError(
                f"the editor ended with code {done.returncode} and nothing was sent; EDITOR or "
                "VISUAL names it, --value-file does without"
            )
        try:
            return path.read_text("utf-8")
        except UnicodeDecodeError:
            raise UserError("the editor left no UTF-8 text: nothing was sent") from None
