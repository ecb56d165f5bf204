"""The page of a classifier or recognizer: its numbers, counted by hand, and what a browser's parser sees of it."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmext.classification.report import write_report
from mmext.classification.report.analysis import BINS, analyse, calibration
from mmext.classification.scored import Pictures, Scored
from mmext.classification.scores import SavedScores
from mmext.errors import UserError
from mmext.report.confusion import condensed
from tests.html_page import Page

NAMES = ['cat', '<b>dog</b> & "co"', 'eel', 'a_name_of_no_less_than_' * 4, 'fox', 'gnu', 'hen']
HISTORY = [dict(mode='train', iter=i, epoch=1, loss=9 - i, lr=0.1, accuracy=i / 4) for i in range(1, 4)]
HISTORY += [dict(mode='val', iter=3, epoch=1, **{'accuracy/top1': 0.25, 'accuracy/top5': 0.5})]


def some(count: int = 60, classes: int = 7, seed: int = 0) -> SavedScores:
    """The scores of a network that is often right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    logits = rng.normal(0, 1, (count, classes)) + 2 * np.eye(classes)[labels]
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    names = [f'val/<i>{i}\n.jpg' for i in range(count)]
    return SavedScores(scores.astype(np.float32), labels, names, [*NAMES, *map(str, range(7, classes))][:classes])


def draw(index: int, label: int) -> np.ndarray:
    """A picture whose colour tells its index; every third is unreadable."""
    if index % 3 == 0:
        raise UserError(f'{index}\n.jpg: <no> image')
    return np.full((40, 60, 3), (index, 100, 200), np.uint8)


@pytest.fixture(scope='module')
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = write_report(tmp_path_factory.mktemp('page'), 'a <title>\n', some(), draw, 'images', history=HISTORY)
    return Page(path.read_text(encoding='utf-8'))


def test_the_numbers_are_those_of_a_plain_count():
    saved = some(500)
    found, order = saved.scores.argmax(1), np.argsort(-saved.scores, 1, kind='stable')
    right, score = found == saved.labels, saved.scores.max(1)
    result = analyse(saved, 5)
    assert result.top1 == right.mean() and result.samples == 500 and result.unscored == 0
    assert result.top5 == (order[:, :5] == saved.labels[:, None]).any(1).mean()
    assert result.most_frequent == np.bincount(saved.labels).max() / 500
    for label, cls in enumerate(result.classes):
        own = saved.labels == label
        assert (cls.samples, cls.predicted) == (own.sum(), (found == label).sum())
        assert cls.top1 == pytest.approx(right[own].mean())
        assert cls.precision == pytest.approx(right[found == label].mean())
        wrong = np.bincount(found[own & ~right], minlength=7)
        assert cls.mistaken_for == NAMES[wrong.argmax()] and cls.mistaken_share == wrong.max() / own.sum()
        assert (result.confusion[label] == np.bincount(found[own], minlength=7)).all()
    assert result.mean_class == pytest.approx(np.mean([cls.top1 for cls in result.classes]))
    edges = [(score > i / BINS) & (score <= (i + 1) / BINS) for i in range(BINS)]
    gaps = [abs(right[part].mean() - score[part].mean()) if part.any() else 0 for part in edges]
    assert result.ece == pytest.approx(sum(part.sum() * gap for part, gap in zip(edges, gaps)) / 500, abs=1e-6)
    assert result.mce == pytest.approx(max(gaps), abs=1e-6)
    assert [sample.index for sample in result.best] == sorted(np.flatnonzero(right), key=lambda i: -score[i])[:5]
    assert [sample.index for sample in result.worst] == sorted(np.flatnonzero(~right), key=lambda i: -score[i])[:5]


def test_all_right_and_all_wrong_and_one_class_without_samples():
    eye = np.eye(3, dtype=np.float32)
    right = analyse(SavedScores(eye[[0, 1, 1]], np.array([0, 1, 1]), [''] * 3, NAMES[:3]), 4)
    assert (right.top1, right.top5, right.ece, right.worst) == (1, None, 0, [])
    assert [cls.top1 for cls in right.classes] == [1, 1, -1] and right.classes[0].mistaken_for == ''
    wrong = analyse(SavedScores(eye[[1, 2]], np.array([0, 1]), [''] * 2, NAMES[:3]), 4)
    assert (wrong.top1, wrong.ece, wrong.best, len(wrong.worst)) == (0, 1, [], 2)
    assert calibration(np.array([1.0]), np.array([True]))[-1]['count'] == 1


def test_scores_that_are_no_probabilities_or_no_numbers(tmp_path: Path):
    saved = some()
    raw = SavedScores(saved.scores * 9 - 3, saved.labels, saved.names, saved.classes)
    assert analyse(raw, 1).bins == [] and analyse(raw, 1).top1 == analyse(saved, 1).top1
    text = write_report(tmp_path, 'x', raw, draw, 'videos').read_text()
    assert 'are not probabilities' in text and 'calibration-table' not in text
    saved.scores[:4, 2] = np.nan
    result = analyse(saved, 60)
    assert result.unscored == 4 and result.confusion.sum() == 56 == sum(entry['count'] for entry in result.bins)
    assert min(sample.index for sample in (*result.best, *result.worst)) == 4
    assert 'The scores of 4 images are not numbers' in write_report(tmp_path, 'x', saved, draw, 'images').read_text()


def test_page_needs_nothing_else_and_names_are_text(page: Page):
    page.assert_self_contained()
    page.assert_references()
    assert not {'title>', 'i', 'no'} & {tag for tag, _ in page.tags}
    assert [row[0] for row in page.rows('class-table')] == NAMES
    assert 'val/<i>' in page.text and '\\n.jpg' in page.text
    assert [row[0] for row in page.rows('metric-table')] == ['top-1', 'top-5', 'top-1 error', 'mean class',
                                                             'most frequent class']
    labels = [attributes['aria-label'] for tag, attributes in page.tags if tag == 'svg']
    assert labels[-4:] == ['Loss against iterations; at the end: training 6',
                           'Learning rate against iterations; at the end: learning rate 0.1',
                           'Accuracy of training batches against iterations; at the end: top-1 75',
                           'Validation against iterations; at the end: top-1 25, top-5 50']


def test_pictures_are_those_of_the_samples(page: Page):
    result = analyse(some(), 12)
    chosen = [sample.index for sample in (*result.worst, *result.best)]
    pictures = [attributes for tag, attributes in page.tags if tag == 'img']
    assert len(pictures) == len([i for i in chosen if i % 3])
    for index, attributes in zip((i for i in chosen if i % 3), pictures):
        content = base64.b64decode(attributes['src'].removeprefix('data:image/jpeg;base64,'))
        pixels = np.asarray(Image.open(io.BytesIO(content))).astype(int)
        assert pixels.shape == (40, 60, 3) and np.abs(pixels - (index, 100, 200)).max() < 8
    unread = [i for i in chosen if i % 3 == 0]
    assert f'{len(unread)} of these images could not be read' in page.text
    assert all(page.text.count(f'{i}\\n.jpg: <no> image') == 2 for i in unread)


@pytest.mark.parametrize('classes', [2, 100, 101, 1000])
def test_many_classes(classes: int, tmp_path: Path):
    path = write_report(tmp_path, 'x', some(3000, classes), draw, 'images')
    page = Page(path.read_text())
    alts = [attributes['aria-label'] for tag, attributes in page.tags if tag == 'svg']
    assert f'Confusion matrix of {classes if classes <= 100 else 40} classes' in alts[0]
    assert (f'Confusions of all {classes} classes' in alts[1]) == (classes > 100)
    assert len(page.rows('class-table')) == classes and len(page.source) < 3e6


def test_a_condensed_matrix_counts_mistakes_of_groups():
    counts = np.diag([5, 6, 7, 8, 9])
    counts[0, 1], counts[0, 4], counts[3, 2], counts[4, 0] = 5, 2, 8, 1
    shares, starts = condensed(counts, 5, 3)
    assert starts == [0, 2, 4]
    assert shares == pytest.approx(np.array([[5 / 18, 0, 2 / 18], [0, 8 / 23, 0], [1 / 10, 0, 0]]))


def test_same_input_same_bytes_and_metrics_of_something_else_are_refused(tmp_path: Path):
    one, other = (write_report(tmp_path / name, 'x', some(), draw, 'images').read_bytes() for name in 'ab')
    assert one == other
    with pytest.raises(ValueError, match='top1 is'):
        write_report(tmp_path, 'x', some(), draw, 'images', metrics=dict(top1=0.123))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a', 'b']


class Videos(Scored):
    """A task whose pictures tell which sample they are of."""

    def source_of(self, dataset: SimpleNamespace, index: int) -> tuple[int, str]:
        return index % 2, dataset.paths[index]

    def picture_of(self, dataset: SimpleNamespace, index: int) -> np.ndarray:
        return np.full((1, 1, 3), index, np.uint8)


def test_pictures_come_from_inside_of_the_data_root_and_from_the_set_of_the_test(tmp_path: Path):
    class Samples(SimpleNamespace):
        def __len__(self) -> int:
            return len(self.paths)

    root = tmp_path / 'data'
    paths = [root / 'v' / 'a', root / 'v' / '..' / 'b', root / 'v' / '..' / '..' / 'c', '/etc/passwd', '../../c']
    pictures = Pictures(Videos(), Config({}))
    pictures.dataset = Samples(paths=list(map(str, paths)), data_root=str(root), data_prefix=dict(video=f'{root}/v'))
    assert [pictures(i, i % 2)[0, 0, 0] for i in range(2)] == [0, 1]
    for i in range(2, 5):
        with pytest.raises(UserError, match='leads out of the data root'):
            pictures(i, i % 2)
    for i, label in ((0, 1), (9, 1)):
        with pytest.raises(UserError, match='or in another order'):
            pictures(i, label)
