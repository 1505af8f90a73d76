"""The tutorial runs from top to bottom, in a kernel of its own, against the simulator."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import stand

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial" / "first-readings.ipynb"
NEEDED = ("nbclient", "nbformat", "ipykernel", "matplotlib", "pandas")
missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of what runs the notebook
]


def read() -> Any:
    import nbformat

    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_kept_without_outputs():
    for cell in read().cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_it_runs_from_top_to_bottom():
    import nbformat
    from nbclient import NotebookClient

    notebook = read()
    [at] = [n for n, c in enumerate(notebook.cells) if "parameters" in c.metadata.get("tags", [])]
    with stand() as place:
        place.daemon("--simulate")
        where = f"endpoint, control = {place.publish!r}, {place.control!r}"
        notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(where))
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = {cell.id: cell.get("outputs", []) for cell in notebook.cells}
    progress, table = outputs["collect"]
    assert "3.0/3 s" in progress.data["text/plain"]
    assert "ch1_power" in table.data["text/html"]
    [plot] = outputs["live"]
    assert len(plot.data["image/png"]) > 10_000, "more than empty axes"
