"""Repairs: needed ones repair, and where the defect is absent nothing is changed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from mmext import compat
from mmext.compat import stdlib
from mmext.errors import UserError
from tests.conftest import run


def test_importing_mmext_imports_no_task_library():
    code = "import sys, mmext; print([name for name in ('mmdet', 'mmaction', 'mmcv') if name in sys.modules])"
    done = run('-c', code)
    assert done.stdout.strip() == '[]', done.stderr


def test_both_libraries_in_one_process():
    code = ('import mmext, mmdet.models, mmaction.models; from mmext import compat; '
            'print(sorted(compat.applied())); import mmaction.models.localizers as places; places.DRN()')
    done = run('-c', code)
    assert 'add_loss_cls_to_ssd_head' in done.stdout and 'stand_in_for_drn' in done.stdout
    assert done.stderr.strip().endswith('has no DRN localizer: its wheel lacks that folder')


@pytest.mark.parametrize('statement, symptom', [
    ('import mmaction.models', 'mmaction.models.localizers.drn'),
    ('from mmdet.models.dense_heads import SSDHead; SSDHead.loss_cls', 'loss_cls'),
    ("from mmaction.registry import FUNCTION; FUNCTION.get('any')", 'mmaction.mmengine'),
    ("import sys; sys.modules['pkg_resources'] = None; from mmengine.utils import get_installed_path; "
     "get_installed_path('mmdet')", 'pkg_resources'),
])
def test_without_the_repairs_the_defects_are_there(statement: str, symptom: str):
    without = run('-c', f'import mmengine; {statement}')
    assert without.returncode and symptom in without.stderr, 'mended upstream? then delete the repair'
    assert run('-c', f'import mmext; {statement}').returncode == 0


def test_packages_are_found_where_pkg_resources_finds_them():
    """A package, one whose module has another name, one that is no distribution, and what is not there."""
    code = ("import sys; {}; from mmengine.utils import get_installed_path, is_installed; "
            "names = ['mmdet', 'mmengine', 'opencv-contrib-python-headless', 'pyyaml', 'tests', 'json', 'absent']; "
            "from os.path import realpath; "
            "print([realpath(get_installed_path(name)) for name in names[:-1]], *map(is_installed, names)); "
            "print('pkg_resources' in sys.modules)")
    ours, theirs = (run('-W', 'ignore', '-c', code.format(f'import {name}')) for name in ('mmext', 'mmengine'))
    assert ours.stderr == theirs.stderr == ''
    (found, ours_loaded), (expected, theirs_loaded) = (done.stdout.splitlines() for done in (ours, theirs))
    assert found == expected and found.endswith(' False') and (ours_loaded, theirs_loaded) == ('False', 'True')


def test_a_mended_search_for_packages_is_left_alone():
    mended = ModuleType('package_utils')
    mended.get_installed_path = found = lambda package: f'/there/{package}'
    compat.mmengine.find_packages_without_pkg_resources(mended)
    assert mended.get_installed_path is found and 'is_installed' not in vars(mended)


@pytest.mark.parametrize('removed', [True, False])
@pytest.mark.parametrize('name', ['mmengine.utils.dl_utils.misc', 'mmcv.utils.ext_loader'])
def test_ops_are_found_without_find_loader(removed: bool, name: str, monkeypatch: pytest.MonkeyPatch):
    """Python 3.14 has removed it; the modules are made anew here, as on a Python that has or lacks it."""
    lib = ModuleType('pkgutil')
    if not removed:
        lib.find_loader = lambda name: 'old'  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setattr(stdlib, 'pkgutil', lib)
    module = importlib.util.module_from_spec(importlib.util.find_spec(name))
    module.__spec__.loader.exec_module(module)
    module.pkgutil = lib
    check = getattr(module, 'check_ops_exist', None) or module.mmcv_full_available
    stdlib.restore_find_loader(module)
    assert check() and (module.pkgutil is lib) is not removed


@pytest.mark.parametrize('removed', [True, False])
def test_the_environment_is_described_without_distutils(removed: bool, monkeypatch: pytest.MonkeyPatch):
    """Python 3.12 has removed it, and setuptools brings it back only where it is installed."""
    spec = importlib.util.find_spec('mmengine.utils.dl_utils.collect_env')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    plain = module.collect_env
    monkeypatch.setitem(sys.modules, 'distutils', None)
    found = SimpleNamespace(util=SimpleNamespace(find_spec=lambda name: None if removed else 'spec'))
    monkeypatch.setattr(stdlib, 'importlib', found)
    stdlib.collect_environment_without_distutils(module)
    assert (module.collect_env is plain) is not removed
    if removed:
        with pytest.raises(ModuleNotFoundError, match='distutils'):
            plain()
        assert module.collect_env()['Python'] == sys.version.replace('\n', '') and 'distutils' not in sys.modules


def test_the_module_of_a_frame_is_found_without_its_files(monkeypatch: pytest.MonkeyPatch):
    """As the original finds it after a look at the files of all modules; a frame outside any module goes there."""
    spec = importlib.util.find_spec('inspect')
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    looked = []
    absolute = fresh.getabsfile
    monkeypatch.setattr(fresh, 'getabsfile', lambda *args: looked.append(args) or absolute(*args))
    frames = [sys._getframe(), sys._getframe(1)]
    outside = eval(compile('__import__("sys")._getframe()', '<text>', 'eval'), {'__name__': 'tests'})
    plain = [fresh.getmodule(frame) for frame in (*frames, outside)]
    assert plain[0] is sys.modules[__name__] and plain[2] is None and len(looked) > len(sys.modules) / 2
    looked.clear()
    stdlib.find_modules_of_frames(fresh)
    assert [fresh.getmodule(frame) for frame in frames] == plain[:2] and not looked
    assert fresh.getmodule(outside) is None and looked
    mended = SimpleNamespace(getmodule=lambda frame: frame.f_globals['__name__'])
    known = mended.getmodule
    stdlib.find_modules_of_frames(mended)
    assert mended.getmodule is known


def test_configs_in_python_s_own_form_may_call_the_standard_library(tmp_path: Path):
    """os.path as osp, as mmengine's own tests have it, and modules of other kinds: a package, compiled, built in."""
    config = tmp_path / 'lazy.py'
    config.write_text("import os.path as osp\nimport math\nfrom json import dumps\nfrom time import gmtime\n"
                      "from torch.optim import SGD\n"
                      "found = osp.join('a', 'b'), math.floor(1.5), dumps([1]), gmtime(0).tm_year\n"
                      "optimizer = dict(type=SGD)\n")
    code = f"from mmengine.config import Config; print(Config.fromfile({str(config)!r}).found)"
    without = run('-c', code)
    assert without.returncode and 'RuntimeError' in without.stderr, 'mended upstream? then delete the repair'
    assert run('-c', f'import mmext; {code}').stdout.strip() == "('a/b', 1, '[1]', 1970)"
    assert Config.fromfile(config).optimizer.type is torch.optim.SGD


def test_what_knows_the_standard_library_is_left_alone():
    mended = SimpleNamespace(_is_builtin_module=lambda name: name in sys.stdlib_module_names)
    known = mended._is_builtin_module
    compat.mmengine.recognize_standard_library(mended)
    assert mended._is_builtin_module is known


def test_what_finds_mmext_s_configs_is_left_alone():
    mended = SimpleNamespace(MODULE2PACKAGE={'mmext': 'mmext'}, _get_package_and_cfg_path=lambda path: path.split('::'))
    known = mended._get_package_and_cfg_path
    compat.mmengine.accept_mmext_configs(mended)
    assert mended._get_package_and_cfg_path is known


def test_without_the_repair_mmext_s_configs_are_not_found():
    code = "from mmengine.hub import get_config; print(get_config('mmext::ssd300_iresnet50_coco.py').model.type)"
    without = run('-c', code)
    assert without.returncode and 'relative config path' in without.stderr, 'mended upstream? then delete the repair'
    assert run('-c', f'import mmext; {code}').stdout.strip() == 'SingleStageDetector' == run(
        '-c', code.replace('; ', '; import mmext; ', 1)).stdout.strip()


def test_what_builds_mmext_s_models_or_finds_names_is_left_alone():
    def get_model(path: str) -> None: ...

    def find_latest_checkpoint(path: str) -> str:
        return os.path.basename(path)

    mended = SimpleNamespace(get_model=get_model, find_latest_checkpoint=find_latest_checkpoint)
    compat.mmengine.build_mmext_models(mended)
    compat.mmengine.find_named_checkpoints(mended)
    assert (mended.get_model, mended.find_latest_checkpoint) == (get_model, find_latest_checkpoint)


def test_the_last_checkpoint_by_its_path_or_by_its_name(tmp_path: Path):
    from mmengine.runner import find_latest_checkpoint

    (tmp_path / 'a' / 'epoch_1.pth').parent.mkdir()
    (tmp_path / 'a' / 'epoch_1.pth').touch()
    assert find_latest_checkpoint(str(tmp_path)) is None
    for written, found in ((str(tmp_path / 'a' / 'epoch_1.pth'), tmp_path / 'a' / 'epoch_1.pth'),
                           ('epoch_1.pth', tmp_path / 'a' / 'epoch_1.pth'),
                           ('/moved/epoch_1.pth', tmp_path / 'a' / 'epoch_1.pth'), ('epoch_2.pth', 'epoch_2.pth')):
        (tmp_path / 'a' / 'last_checkpoint').write_text(written)
        assert find_latest_checkpoint(str(tmp_path / 'a')) == str(found)


def test_trained_weights_of_a_config_s_name_are_refused():
    from mmengine import hub

    with pytest.raises(UserError, match='no trained weights'):
        hub.get_model('mmext::ssd300_iresnet50_coco.py', pretrained=True)


def test_ssd_head_with_a_loss_cls_is_left_alone():
    class Mended:
        def __init__(self) -> None:
            self.loss_cls = 'its own'

    compat.mmdet.add_loss_cls_to_ssd_head(SimpleNamespace(SSDHead=Mended))
    assert 'loss_cls' not in vars(Mended) and Mended().loss_cls == 'its own'


def test_ssd_head_without_one_gets_none():
    class Defective:
        def __init__(self) -> None:
            self.other = 1

    compat.mmdet.add_loss_cls_to_ssd_head(SimpleNamespace(SSDHead=Defective))
    assert Defective().loss_cls is None


def test_category_ids_are_in_the_order_of_the_names():
    from mmdet.datasets.api_wrappers import COCO

    coco = COCO()
    coco.dataset = dict(categories=[dict(id=1, name='a'), dict(id=2, name='b'), dict(id=3, name='c')])
    assert COCO.get_cat_ids.__wrapped__(coco, ['b', 'a']) == [1, 2], 'mended upstream? then delete the repair'
    assert coco.get_cat_ids('b') == [2] and coco.get_cat_ids() == [1, 2, 3]
    assert coco.get_cat_ids(('c', 'nothing', 'a')) == [3, 1] and coco.get_cat_ids(cat_ids=[2]) == [2]


@pytest.mark.parametrize('defective', [True, False])
def test_resuming_does_not_see_the_checkpoints_config(defective: bool):
    class Runner:
        def load_checkpoint(self, filename: str) -> dict:
            return {'meta': {'config': 'print(1)', 'epoch': 3}}

        def resume(self, filename: str):
            return Config.fromstring(self.load_checkpoint(filename)['meta']['config'], '.py')

        def mended(self, filename: str) -> None:
            self.load_checkpoint(filename)

    if not defective:
        Runner.resume = Runner.mended
    original = Runner.load_checkpoint
    compat.checkpoints.keep_resume_from_running_code(SimpleNamespace(Runner=Runner))
    meta = Runner().load_checkpoint('x.pth')['meta']
    assert meta == ({'epoch': 3} if defective else {'config': 'print(1)', 'epoch': 3})
    assert (Runner.load_checkpoint is original) is not defective


def test_a_present_module_is_preferred_to_its_stand_in(tmp_path: Path):
    (tmp_path / 'importlib_metadata.py').write_text("version = 'the real one'\n")
    code = 'import mmext, importlib_metadata; print(importlib_metadata.version)'
    assert run('-c', code, env={'PYTHONPATH': str(tmp_path)}).stdout.strip() == 'the real one'


def test_stand_in_for_importlib_metadata():
    module = ModuleType('importlib_metadata')
    compat.mmaction.stand_in_for_importlib_metadata(module)
    assert module.version('torch') == importlib.metadata.version('torch')


@pytest.mark.parametrize('true, shown', [('2.1.0', '2.1.0'), ('2.2.0', '2.1.0'), ('3.0.1', '2.1.0')])
def test_version_checks_see_an_mmcv_they_accept(monkeypatch: pytest.MonkeyPatch, true: str, shown: str):
    import mmcv
    monkeypatch.setattr(mmcv, '__version__', true)
    with compat.mmdet.accept_newer_mmcv('mmaction'):
        assert mmcv.__version__ == shown
    assert mmcv.__version__ == true


def test_training_checkpoints_load_and_code_in_them_does_not_run(tmp_path: Path):
    from mmengine.logging import HistoryBuffer

    path = tmp_path / 'log.pth'
    torch.save({'loss': HistoryBuffer([1.0, 2.0], [1, 1])}, path)
    loaded = torch.load(path, weights_only=True)
    assert loaded['loss'].mean() == 1.5

    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'harm'), )

    torch.save({'x': Harm()}, path)
    with pytest.raises(Exception, match='Weights only'):
        torch.load(path, weights_only=True)
    assert not (tmp_path / 'harm').exists()


def test_without_the_repair_training_checkpoints_do_not_load(tmp_path: Path):
    code = ('import torch; from mmengine.logging import HistoryBuffer; '
            f"torch.save(HistoryBuffer([1.0], [1]), r'{tmp_path}/x.pth'); torch.load(r'{tmp_path}/x.pth')")
    assert 'Weights only load failed' in run('-c', code).stderr
    assert run('-c', 'import mmext; ' + code).returncode == 0


def test_a_killed_save_leaves_the_previous_file(tmp_path: Path):
    path = tmp_path / 'model.pth'
    path.write_bytes(b'previous')
    code = ('import sys, mmext; from mmengine.fileio import LocalBackend; data = b"x" * 400_000_000; '
            f'print("writing", flush=True); LocalBackend().put(data, r"{path}")')
    with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True) as writer:
        writer.stdout.readline()
        while not list(tmp_path.glob('.*.part')) and writer.poll() is None:
            time.sleep(0.001)
        writer.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b'previous'


def test_a_finished_save_is_whole_and_readable_by_others(tmp_path: Path):
    from mmengine.fileio import LocalBackend

    LocalBackend().put(b'all', tmp_path / 'new' / 'model.pth')
    assert (tmp_path / 'new' / 'model.pth').read_bytes() == b'all'
    assert (tmp_path / 'new' / 'model.pth').stat().st_mode & 0o077 == 0o777 & ~current_umask() & 0o066
    assert [file.name for file in (tmp_path / 'new').iterdir()] == ['model.pth']


def test_a_file_keeps_its_permissions_and_a_link_its_target(tmp_path: Path):
    from mmengine.fileio import LocalBackend

    (tmp_path / 'private.pth').write_bytes(b'old')
    (tmp_path / 'private.pth').chmod(0o600)
    (tmp_path / 'link.pth').symlink_to('private.pth')
    (tmp_path / 'dangling.pth').symlink_to('new.pth')
    backend = LocalBackend()
    backend.put(b'new', tmp_path / 'link.pth')
    backend.put_text('é', tmp_path / 'dangling.pth')
    assert (tmp_path / 'link.pth').is_symlink() and (tmp_path / 'private.pth').read_bytes() == b'new'
    assert (tmp_path / 'private.pth').stat().st_mode & 0o777 == 0o600
    assert (tmp_path / 'dangling.pth').is_symlink() and (tmp_path / 'new.pth').read_text(encoding='utf-8') == 'é'
    assert len(list(tmp_path.iterdir())) == 4


def test_a_backend_that_replaces_is_left_alone():
    class Mended:
        def put(self, obj: bytes, filepath: str) -> None:
            os.replace(obj, filepath)

    original = Mended.put
    compat.mmengine.write_files_atomically(SimpleNamespace(LocalBackend=Mended))
    assert Mended.put is original


def test_without_the_repair_a_url_runs_its_code(tmp_path: Path):
    code = (f"import os, torch, mmengine.runner as r; Harm = type('Harm', (), {{'__reduce__': lambda self: (os.mkdir, "
            f"(r'{tmp_path}/ran', ))}}); torch.save(Harm(), r'{tmp_path}/x.pth'); "
            f"os.makedirs(r'{tmp_path}/hub/checkpoints'); os.rename(r'{tmp_path}/x.pth', "
            f"r'{tmp_path}/hub/checkpoints/x.pth'); r.CheckpointLoader.load_checkpoint('http://127.0.0.1:9/x.pth')")
    environment = {'TORCH_HOME': str(tmp_path), 'MMEXT_CACHE': str(tmp_path / 'cache')}
    assert 'the download failed' in run('-c', 'import mmext; ' + code, env=environment).stderr
    assert not (tmp_path / 'ran').exists()
    (tmp_path / 'hub' / 'checkpoints' / 'x.pth').unlink()
    (tmp_path / 'hub' / 'checkpoints').rmdir()
    run('-c', code, env=environment)
    assert (tmp_path / 'ran').exists(), 'mended upstream? then delete the repair'


def test_a_loader_that_asks_no_hub_is_left_alone():
    def load_from_http(filename: str) -> dict:
        return {}

    module = SimpleNamespace(CheckpointLoader=SimpleNamespace(_schemes={}), load_from_http=load_from_http, __name__='x')
    compat.checkpoints.keep_downloads_from_running_code(module)
    assert module.load_from_http is load_from_http


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_install_twice_changes_nothing():
    before = list(sys.meta_path)
    compat.install()
    assert sys.meta_path == before


def test_unset_gradients_are_noticed_whatever_memory_held_before():
    """Freed pieces of many sizes are what a gradient's memory comes from. Without oneDNN the defect is not there."""
    from mmext.compat.torch import leaves_gradients_unset

    found = set()
    for size in range(4000, 60000, 4000):
        pieces = [torch.zeros(size + i) for i in range(400)]
        kept = pieces[::2]
        del pieces
        found.add(leaves_gradients_unset())
        with torch.backends.mkldnn.flags(enabled=False):
            assert not leaves_gradients_unset()
        del kept
    assert len(found) == 1
