"""Hooks of mkdocs: pages from outside docs/, the pages of the Python API, and links between them.

A link in a Markdown file of the checkout is relative to that file. On the site, files are in other places, so links are
rewritten. A link to a file that is no page, such as a config, leads to a copy of that file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[3]
# Files outside docs/ -> their pages.
PAGES = {'README.md': 'index.md', 'configs/README.md': 'configs/index.md', 'CHANGELOG.md': 'changelog.md',
         'CONTRIBUTING.md': 'contributing.md', 'work_dirs/README.md': 'work_dirs.md'}
COPIED = ('LICENSE', 'CITATION.cff', *sorted(str(path.relative_to(ROOT)) for path in (ROOT / 'configs').rglob('*.py')))
LINK = re.compile(r'(\]\()([^)#\s]+)(#[^)\s]*)?(\))')
# Sections of the reference, and the objects in each.
REFERENCE = {
    'Networks': ('mmext.create_backbone', 'mmext.list_backbones',
                 'mmext.backbones.backbone.Backbone', 'mmext.backbones.backbone.FeatureInfo',
                 'mmext.backbones.register.register_backbone'),
    'Classifiers': ('mmext.create_classifier', 'mmext.classification.classifier.Classifier'),
    'Trained models': ('mmext.load', 'mmext.inference.Inferencer', 'mmext.results.Result',
                       'mmext.detection.results.Detections', 'mmext.detection.results.DetectedVideo',
                       'mmext.classification.results.Classified', 'mmext.video.results.Recognized'),
    'Weights': ('mmext.checkpoints.read.read_checkpoint', 'mmext.checkpoints.format.write_weights'),
    'Videos': ('mmext.data.video.reader.VideoReader', ),
    'Configs and runs': ('mmext.engine.config.load_config', 'mmext.engine.run.train', 'mmext.engine.run.test'),
    'Extending': ('mmext.task.Task', 'mmext.engine.flags.flag.Flag'),
    'Errors': ('mmext.UserError', ),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages and files from outside docs/."""
    for source, target in PAGES.items():
        files.append(File.generated(config, target, content=(ROOT / source).read_text()))
    files.append(File.generated(config, 'api.md', content=reference()))
    for name in COPIED:
        files.append(File.generated(config, site_path(name), abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrites the links of a page."""
    target = page.file.src_uri
    source = next((name for name, own in PAGES.items() if own == target), f'docs/{target}')
    folder, place = posixpath.dirname(source), posixpath.dirname(target)

    def rewritten(link: re.Match) -> str:
        before, path, anchor, after = link.groups('')
        if '://' in path:
            return link[0]
        name = posixpath.normpath(posixpath.join(folder, path))
        return f'{before}{posixpath.relpath(site_path(name), place or ".")}{anchor}{after}'

    return LINK.sub(rewritten, markdown)


def site_path(name: str) -> str:
    """The path on the site of a file of the checkout."""
    if name in PAGES:
        return PAGES[name]
    return f'{name}.txt' if name == 'LICENSE' else name.removeprefix('docs/')


def reference() -> str:
    """The page of the Python API."""
    parts = ['# Python API\n', 'What is named here is kept through a minor version; CHANGELOG.md lists what changes.\n']
    for title, names in REFERENCE.items():
        parts += [f'## {title}\n', *map(entry, names)]
    return '\n'.join(parts)


def entry(name: str) -> str:
    """The directive for an object; of a class, its public members, too."""
    members: Sequence[str] = () if name.endswith(('Task', 'Result')) else ('members: false', )
    options = ''.join(f'\n      {line}' for line in members)
    return f'::: {name}\n' + (f'    options:{options}\n' if options else '')
