"""Published weights: named as timm names them, files of the package, and as good as their cards say."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from PIL import Image

import mmext
from mmext.backbones.trained import Trained
from mmext.checkpoints import write_weights
from mmext.checkpoints.stored import pack
from mmext.engine.config import load_config
from mmext.errors import UserError
from mmext.pretrained import FOLDER, list_pretrained
from tests.backbones.helpers import assert_same, images
from tests.conftest import ROOT, real_data

CLASSES = ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck')


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> mmext.classification.Classifier:
    """The only published weights: those of this rir32."""
    model = mmext.create_classifier('rir32', 10)
    config: Config = load_config(ROOT / 'configs' / 'classification' / 'rir_cifar10.py')
    write_weights(tmp_path / 'rir32.cifar10.safetensors', model.state_dict(), classes=CLASSES, stored=pack(config))
    monkeypatch.setattr('mmext.pretrained.FOLDER', tmp_path)
    return model


def test_a_classifier_has_the_published_weights(published):
    x = images(2, 3, 32, 32)
    for name, pretrained in (('rir32', 'cifar10'), ('rir32', True), ('rir32.cifar10', True)):
        model = mmext.create_classifier(name, pretrained=pretrained)
        assert_same(model.state_dict(), published.state_dict())
        assert torch.equal(model.eval()(x), published.eval()(x))
    batch = model.data_preprocessor(dict(inputs=torch.full((1, 3, 2, 2), 123.)))
    pixel = batch['inputs'][0, :, 0, 0].tolist()
    assert pixel == pytest.approx([(123 - 125.3) / 63, 0, (123 - 113.9) / 66.7], abs=1e-6)


def test_another_number_of_classes_gets_a_new_layer(published):
    model = mmext.create_classifier('rir32', 7, pretrained='cifar10')
    assert model.fc.out_features == 7
    assert_same(model.backbone.state_dict(), published.backbone.state_dict())


def test_a_backbone_has_the_published_weights(published):
    for backbone in (mmext.create_backbone('rir32', pretrained=True),
                     mmext.create_backbone('rir32', 'mmext://rir32.cifar10'),
                     mmext.create_backbone('rir32', out_indices=(0, 2), pretrained='cifar10')):
        assert_same(backbone.state_dict(), published.backbone.state_dict())
    configured = mmext.create_backbone('rir32', init_cfg=dict(type='Pretrained', checkpoint='mmext://rir32.cifar10'))
    configured.init_weights()
    assert_same(configured.state_dict(), published.backbone.state_dict())


def test_a_name_with_a_data_set_is_the_network_alone_without_pretrained(published):
    fresh = mmext.create_classifier('rir32.cifar10', 10)
    assert mmext.create_classifier('rir32').num_classes == 1000
    assert not torch.equal(fresh.fc.weight, published.fc.weight)
    assert mmext.list_pretrained() == mmext.list_pretrained('*.cifar10') == ['rir32.cifar10']
    assert mmext.list_pretrained('*.imagenet') == []


def test_an_image_is_classified_with_published_weights(published):
    model = mmext.load('mmext://rir32.cifar10')
    assert model.classes == CLASSES
    result = model(torch.zeros(32, 32, 3, dtype=torch.uint8).numpy())
    assert sorted(result.as_json()['classes']) == sorted(CLASSES)


@pytest.mark.parametrize(('name', 'options', 'words'), [
    ('rir32', dict(pretrained='imagenet'), "rir32, pretrained='imagenet': no such weights; there are rir32.cifar10"),
    ('rir_cnn32', dict(pretrained=True), 'there are none of this network'),
    ('rir32.cifar10', dict(pretrained='svhn'), "'rir32.cifar10' and pretrained='svhn' name two data sets"),
    ('rir32', dict(pretrained=True, checkpoint_path='a.pth'), 'each name weights; give one of them'),
    ('rir32', dict(pretrained=True, in_chans=1), 'of another shape'),
    ('rir32', dict(checkpoint_path='mmext://rir23.cifar10'), "there are no such weights; did you mean 'rir32.cifar10'"),
])
def test_weights_that_are_not_there(published, name: str, options: dict, words: str):
    for make in (mmext.create_backbone, mmext.create_classifier):
        with pytest.raises(UserError, match=re.escape(words)):
            make(name, **options)


def card_of(name: str) -> dict:
    """The facts at the head of a card, between two lines of dashes."""
    text = (FOLDER / f'{name}.md').read_text()
    assert text.startswith('---\n') and f'\n# {name}\n' in text
    return yaml.safe_load(text.split('---\n')[1])


def test_every_file_has_a_card_and_every_card_a_file():
    assert [path.stem for path in sorted(FOLDER.glob('*.md'))] == list_pretrained() != []


@pytest.mark.parametrize('name', list_pretrained())
def test_published_weights_are_small_whole_and_described(name: str):
    file = FOLDER / f'{name}.safetensors'
    assert file.stat().st_size < 2.5e6
    trained = Trained.read(str(file))
    assert {value.dtype for value in trained.weights.values()} == {torch.float32, torch.int64}
    model = mmext.create_classifier(name, pretrained=True)
    assert_same(dict(sorted(model.state_dict().items())), dict(sorted(trained.weights.items())))
    card = card_of(name)
    assert card['license'] == 'apache-2.0' and card['pipeline_tag'] == 'image-classification'
    assert card['network'] == name.partition('.')[0] and card['classes'] == len(trained.classes or ())
    assert (ROOT / card['config']).is_file()


@pytest.fixture(scope='module')
def thousand() -> tuple[torch.Tensor, torch.Tensor]:
    """The first 1,000 test images of CIFAR-10, uint8 (1000, 3, 32, 32), as JPEG files keep them, and their labels."""
    with np.load(real_data('cifar10_jpeg') / 'test.npz') as data:
        files, ends = data['jpeg'].tobytes(), data['offset']
        images = [np.asarray(Image.open(io.BytesIO(files[start:end])).convert('RGB'))
                  for start, end in zip(ends[:1000], ends[1:])]
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), torch.from_numpy(data['label'][:1000])


@pytest.mark.parametrize('name', list_pretrained('*.cifar10'))
def test_published_weights_are_as_good_as_their_card_says(name: str, thousand: tuple[torch.Tensor, torch.Tensor]):
    model = mmext.create_classifier(name, pretrained=True).eval()
    images, labels = thousand
    with torch.no_grad():
        scores = torch.cat([model(**model.data_preprocessor(dict(inputs=part))) for part in images.split(250)])
    accuracy = 100 * (scores.argmax(1) == labels).float().mean().item()
    assert accuracy == pytest.approx(card_of(name)['top1_of_the_first_1000'], abs=0.15)
