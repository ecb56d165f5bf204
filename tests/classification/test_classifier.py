"""A backbone, a mean over its last map, and one linear layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mmext import create_backbone, create_classifier
from mmext.classification import Classifier, ImagePreprocessor
from mmext.registry import MODELS
from tests.backbones.helpers import assert_same, copied, images, on_meta, uneven, user_error

SMALL = dict(name='rir_cnn32', blocks=(1, 1, 1))


@pytest.mark.parametrize(('name', 'dims', 'size'), [('iresnet18', 2, (40, 32)), ('iresnet18', 3, (4, 32, 32))])
def test_logits_are_the_linear_layer_of_the_mean(name: str, dims: int, size: tuple[int, ...]) -> None:
    model = Classifier(create_backbone(name, dims=dims), 7).eval()
    x = images(2, 3, *size)
    with torch.no_grad():
        mean = model.backbone(x)[-1].flatten(2).mean(2)
        torch.testing.assert_close(model(x), mean @ model.fc.weight.T + model.fc.bias)


@pytest.mark.parametrize(('name', 'channels'), [('resnet50', 2048), ('iresgroup50', 1024), ('iresnet164_cifar', 256)])
def test_it_reads_what_the_last_stage_hands_on(name: str, channels: int) -> None:
    with torch.device('meta'):
        model = Classifier(on_meta(name), 10)
    assert model.fc.in_features == channels
    assert model(torch.empty(2, 3, 64, 64, device='meta')).shape == (2, 10)


def test_the_last_of_several_outputs_is_classified() -> None:
    with torch.device('meta'):
        model = Classifier(on_meta('resnet18', out_indices=(0, 2)), 10)
    assert model(torch.empty(2, 3, 64, 64, device='meta')).shape == (2, 10)


def test_parameter_names() -> None:
    with torch.device('meta'):
        names = list(Classifier(on_meta('resnet18'), 10).state_dict())
    assert names[-2:] == ['fc.weight', 'fc.bias']
    assert all(name.startswith('backbone.') for name in names[:-2])


@pytest.fixture
def model() -> Classifier:
    """A small classifier of seven classes whose norms are no identities."""
    return Classifier(uneven(**SMALL), 7).eval()


def test_loss_is_the_mean_negative_log_probability(model: Classifier) -> None:
    x, labels = images(5, 3, 16, 16), torch.tensor([0, 6, 3, 3, 1])
    logits = model(x)
    labels[1] = logits[1].argmax()
    found = model(x, labels, mode='loss')
    assert set(found) == {'loss', 'accuracy'}
    rows = logits.detach().double().numpy()
    probabilities = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    picked = probabilities[np.arange(5), labels.numpy()]
    assert found['loss'].item() == pytest.approx(-np.log(picked).mean(), rel=1e-5)
    assert found['accuracy'].item() == pytest.approx(np.mean(rows.argmax(1) == labels.numpy()))
    assert found['accuracy'] > 0
    found['loss'].backward()
    torch.testing.assert_close(model.fc.bias.grad, torch.from_numpy(
        (probabilities - np.eye(7)[labels.numpy()]).mean(0)).float(), rtol=1e-4, atol=1e-6)


def test_predictions_are_probabilities(model: Classifier) -> None:
    x = images(3, 3, 16, 16)
    with torch.no_grad():
        logits, found = model(x, mode='tensor'), model(x, torch.tensor([4, 0, 2]), mode='predict')
        unlabelled = model(x, mode='predict')
    assert [sample['gt_label'] for sample in found] == [4, 0, 2]
    assert [sample['gt_label'] for sample in unlabelled] == [None] * 3
    for row, sample, other in zip(logits, found, unlabelled):
        assert set(sample) == {'pred_scores', 'gt_label'}
        torch.testing.assert_close(sample['pred_scores'], row.exp() / row.exp().sum())
        assert torch.equal(sample['pred_scores'], other['pred_scores'])


def pixels(*shape: int) -> torch.Tensor:
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize('shape', [(2, 3, 5, 6), (1, 3, 1, 1)])
def test_preprocessor_normalises_each_channel(shape: tuple[int, ...]) -> None:
    mean, std = [120.5, 110.0, 90.25], [60.0, 50.5, 70.0]
    preprocess = MODELS.build(dict(type='mmext.ImagePreprocessor', mean=mean, std=std))
    inputs, labels = pixels(*shape), torch.arange(shape[0])
    kept = inputs.clone()
    found = preprocess(dict(inputs=inputs, labels=labels), training=True)
    expected = (inputs.numpy().astype(np.float64) - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert found['inputs'].dtype == torch.float32 and torch.equal(found['labels'], labels)
    np.testing.assert_allclose(found['inputs'].numpy(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(inputs, kept), 'the loader may hand the batch out again'
    assert not preprocess.state_dict(), 'a checkpoint is the network alone'


def test_preprocessor_brings_pixels_to_0_and_1_by_default() -> None:
    found = ImagePreprocessor()(dict(inputs=torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)))
    assert found['inputs'].flatten().tolist() == pytest.approx([0, 0.2, 1])


def test_steps_normalise_and_a_plain_call_does_not(model: Classifier) -> None:
    whole = Classifier(model.backbone, 7, dict(type='mmext.ImagePreprocessor', mean=[128.] * 3, std=[64.] * 3)).eval()
    whole.fc.load_state_dict(model.fc.state_dict())
    batch = dict(inputs=pixels(4, 3, 16, 16), labels=torch.tensor([0, 1, 2, 3]))
    with torch.no_grad():
        expected = model((batch['inputs'].float() - 128) / 64).softmax(1)
        found = torch.stack([sample['pred_scores'] for sample in whole.val_step(batch)])
        plain = whole(batch['inputs'].float()).softmax(1)
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(plain, expected, rtol=1e-2)


@pytest.mark.parametrize('num_classes', [0, -1, 2.0, '10', None])
def test_a_wrong_number_of_classes(num_classes: object) -> None:
    with user_error(f'num_classes={num_classes!r}: need a positive number'):
        Classifier(on_meta(**SMALL), num_classes)


FORMS = {
    'ours': lambda state: dict(state_dict=state),
    'ours, data parallel': lambda state: dict(state_dict={f'module.{key}': value for key, value in state.items()}),
    'plain': lambda state: state,
    'authors': lambda state: {key.removeprefix('backbone.'): value for key, value in state.items()},
    'authors, training script': lambda state: dict(epoch=90, state_dict={
        f'module.{key.removeprefix("backbone.")}': value for key, value in state.items()}),
}


@pytest.mark.parametrize('form', FORMS)
def test_create_classifier_loads_a_whole_checkpoint(form: str, model: Classifier, tmp_path: Path) -> None:
    state = copied(model.state_dict())
    torch.save(FORMS[form](state), tmp_path / 'weights.pth')
    found = create_classifier(**SMALL, num_classes=7, checkpoint_path=tmp_path / 'weights.pth')
    assert_same(found.state_dict(), state)


def test_create_classifier_with_options() -> None:
    with torch.device('meta'):
        model = create_classifier('resnet18', 11, stem='conv3x3', in_channels=1)
        assert create_classifier('resnet18').num_classes == 1000
    assert model.backbone.stem == 'conv3x3'
    assert model(torch.empty(2, 1, 32, 32, device='meta')).shape == (2, 11)


@pytest.mark.parametrize(('change', 'fragments'), [
    (lambda state: state.pop('fc.bias'), ('1 missing (fc.bias)', )),
    (lambda state: state.update({'aux.weight': torch.ones(2)}), ('1 left over (', )),
    (lambda state: state.update({'fc.bias': torch.ones(2)}), ('1 of another shape (fc.bias (2,), here (7,))', )),
    (lambda state: state.clear(), ('0 of the', 'missing')),
])
@pytest.mark.parametrize('form', ['ours', 'authors'])
def test_create_classifier_refuses_a_poor_match(form: str, change, fragments: tuple[str, ...], model: Classifier,
                                                tmp_path: Path) -> None:
    state = copied(model.state_dict())
    change(state)
    torch.save(FORMS[form](state), tmp_path / 'weights.pth')
    with user_error('weights.pth: ', *fragments):
        create_classifier(**SMALL, num_classes=7, checkpoint_path=tmp_path / 'weights.pth')


def test_create_classifier_refuses_what_it_can_not_build_or_read(tmp_path: Path) -> None:
    with user_error("no backbone 'rir_cnn23'; did you mean 'rir_cnn32'"):
        create_classifier('rir_cnn23')
    with user_error(f'{tmp_path}/none.pth: no such checkpoint'):
        create_classifier(**SMALL, checkpoint_path=tmp_path / 'none.pth')
    with user_error('num_classes=0'):
        create_classifier(**SMALL, num_classes=0)
