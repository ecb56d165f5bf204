"""The tutorial notebook runs from start to end, on few images."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT

TUTORIAL = ROOT / 'docs' / 'tutorial.ipynb'


def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    notebook = nbformat.read(TUTORIAL, as_version=4)
    parameters, = (cell for cell in notebook.cells if 'parameters' in cell.metadata.get('tags', ()))
    parameters.source = f'IMAGES, HELD_OUT, EPOCHS, BATCH = 4, 2, 1, 2\nFOLDER = {str(tmp_path)!r}'
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    NotebookClient(notebook, timeout=300, resources=dict(metadata=dict(path=str(ROOT / 'docs')))).execute()
    printed = [''.join(output.get('text', '') for output in cell.get('outputs', ())) for cell in notebook.cells]
    assert any('a clip of 8 frames: (1, 512, ' in text for text in printed)
    assert any(text.startswith('AP ') and 'AP50' in text for text in printed)
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file() and (tmp_path / 'run' / 'report' / 'index.html').is_file()
    assert 'image/png' in notebook.cells[-2].outputs[-1].data


def test_it_is_kept_without_outputs():
    cells = nbformat.read(TUTORIAL, as_version=4).cells
    assert not any(cell.get('outputs') or cell.get('execution_count') for cell in cells)
