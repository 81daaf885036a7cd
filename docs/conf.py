"""How the documentation is built: `make docs`, and by tests/test_docs.py with every warning an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wwopt import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "wwopt"
author = "the wwopt developers"
project_copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"wwopt {version}"
html_theme_options = {"top_of_page_buttons": []}
html_copy_source = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings name the types
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False


def _list_others(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put pages that the navigation does not name under the science."""
    if docname == "index":
        others = sorted(app.env.found_docs - set(source[0].split()) - {"index"})
        source[0] = source[0].replace("OTHERS\n", "".join(f"{page}\n" for page in others))


def setup(app: Sphinx) -> None:
    """Register what is not configuration."""
    app.connect("source-read", _list_others)
