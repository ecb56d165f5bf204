"""Builds mmcv with its compiled ops from source, for the torch of the running Python.

There is no mmcv wheel for a current torch, and each of its 78 small C++ files parses all of torch's headers. With a
precompiled header, the build takes minutes instead of a quarter of an hour on two cores. The build folder is kept, so
that an interrupted build can be continued.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

COMPILE_FLAGS = ['-O2', '-g0', '-w']
# What a current torch's BuildExtension and mmcv's setup.py add to COMPILE_FLAGS; gcc ignores a precompiled header,
# without a word, if one of these differs. `header_is_used` finds out, and `flags_of_probe` what an older torch adds.
BUILD_FLAGS = ['-fPIC', '-std=c++17', '-DTORCH_API_INCLUDE_EXTENSION_H', '-DTORCH_EXTENSION_NAME=_ext']
# mmcv's setup.py executes its version file in a function and takes the version from locals(). Since Python 3.13 (PEP
# 667) locals() does not see what exec has written there; with this it does. Python imports it at its start.
OLD_EXEC = """
import builtins, sys

new_exec = builtins.exec

def exec(code, globals=None, locals=None, /, **options):
    if globals is None and locals is None:
        frame = sys._getframe(1)
        return new_exec(code, frame.f_globals, frame.f_locals, **options)
    return new_exec(code, globals, locals, **options)

builtins.exec = exec
"""
MEMORY = Path('/proc/meminfo')
CPU_JOB, CUDA_JOB = 1.0, 2.2  # gigabytes that a compiler takes at most
USUAL_CUDA_HOME = '/usr/local/cuda'
CUDA_HEADERS = ('cublas_v2.h', 'cusparse.h', 'cusolverDn.h')  # of libraries, which torch's headers include
PROBE_SETUP = """
from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CppExtension
probe = CppExtension('probe._ext', ['probe.cpp'], extra_compile_args={'cxx': ['-std=c++17']})
setup(name='probe', ext_modules=[probe], cmdclass={'build_ext': BuildExtension})
"""


class NoCuda(Exception):
    """Why CUDA ops cannot be built on this machine."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--requirement', default='mmcv==2.1.0',
                        help='the requirement that pip downloads (default: %(default)s)')
    parser.add_argument('--build-dir', type=Path, required=True,
                        help='the build folder, which is kept so that a second call resumes')
    parser.add_argument('--wheel-dir', type=Path,
                        help='write the wheel into this folder, for other machines, and do not install it')
    parser.add_argument('--no-header', action='store_true', help='build without the precompiled header')
    parser.add_argument('--ops', choices=('auto', 'cpu', 'cuda'), default=os.environ.get('MMCV_OPS', 'auto'),
                        help='auto also builds CUDA ops if there are nvcc and a torch for the same CUDA (default: '
                             'MMCV_OPS, or auto)')
    args = parser.parse_args()

    import torch

    build_dir = args.build_dir / f'torch-{torch.__version__}'  # objects compiled for one torch do not work with another
    env = build_environment(build_dir, args.ops)
    source = download(args.requirement, build_dir, env)
    header = None if args.no_header else precompile_header(build_dir, env)
    if header is None:
        print('    building without a precompiled header: expect 15 to 30 minutes on two cores', flush=True)
    else:
        env['CFLAGS'] = env['CXXFLAGS'] = ' '.join([*COMPILE_FLAGS, '-include', str(header)])
    wheel = build_wheel(source, env)
    if args.wheel_dir:
        args.wheel_dir.mkdir(parents=True, exist_ok=True)
        copied = shutil.copy(wheel, args.wheel_dir)
        print(f'    {copied}: for Python {sys.version_info[0]}.{sys.version_info[1]} with torch {torch.__version__}')
        return 0
    return subprocess.call([sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--force-reinstall', wheel])


def download(requirement: str, build_dir: Path, env: dict[str, str]) -> Path:
    """Fetches and unpacks the source distribution once; returns its folder."""
    name = requirement.replace('==', '-').replace('onedl-mmcv', 'onedl_mmcv')
    source = build_dir / name
    if not source.exists():
        build_dir.mkdir(parents=True, exist_ok=True)
        subprocess.check_call([sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '--no-build-isolation',
                               '--no-binary=:all:', '-d', str(build_dir), requirement], env=env)
        unpacking = build_dir / 'unpacking'
        shutil.rmtree(unpacking, ignore_errors=True)
        shutil.unpack_archive(build_dir / f'{name}.tar.gz', unpacking)
        (unpacking / name).rename(source)
    return source


def build_environment(build_dir: Path, ops: str) -> dict[str, str]:
    """The variables that mmcv's setup.py and torch's compiler read.

    Args:
        build_dir: where a start-up file for Python 3.13 and newer is put.
        ops: 'auto' (CUDA ops where they can be built), 'cpu' or 'cuda'.

    Raises:
        SystemExit: CUDA ops are asked for and cannot be built here.
    """
    import torch

    env = dict(os.environ, MMCV_WITH_OPS='1', CFLAGS=' '.join(COMPILE_FLAGS), CXXFLAGS=' '.join(COMPILE_FLAGS))
    env['PATH'] = os.pathsep.join([str(Path(sys.executable).parent), env['PATH']])
    if sys.version_info >= (3, 13):
        start_up = build_dir.resolve() / 'start_up'
        start_up.mkdir(parents=True, exist_ok=True)
        (start_up / 'sitecustomize.py').write_text(OLD_EXEC)
        env['PYTHONPATH'] = os.pathsep.join(filter(None, [str(start_up), env.get('PYTHONPATH')]))
    told = 'CPU ops'
    try:
        cuda = {} if ops == 'cpu' else cuda_environment()
    except NoCuda as obstacle:
        if ops == 'cuda':
            raise SystemExit(f'error: CUDA ops cannot be built: {obstacle}') from None
        cuda, told = {}, f'CPU ops alone ({obstacle})'
    if cuda:
        env.update(cuda, FORCE_CUDA='1')
        env.setdefault('MMCV_CUDA_ARGS', '-w')
        told = 'CPU and CUDA ops'
        if not torch.cuda.is_available():  # as on a login node or in a Docker build: torch would find no architecture
            env.setdefault('TORCH_CUDA_ARCH_LIST', architectures(torch._C._cuda_getArchFlags().split()))
            told += f' for {env["TORCH_CUDA_ARCH_LIST"]} (no GPU in sight)'
    else:
        env.pop('FORCE_CUDA', None)
        env['CUDA_VISIBLE_DEVICES'] = ''  # mmcv builds CUDA ops where it sees a GPU
    env.setdefault('MAX_JOBS', str(jobs(CUDA_JOB if cuda else CPU_JOB)))
    print(f'    torch {torch.__version__}, {told}, {env["MAX_JOBS"]} jobs', flush=True)
    return env


def jobs(gigabytes: float) -> int:
    """How many compilers may run at once: one for each core of this process, as far as they fit into free memory.

    Args:
        gigabytes: the most that a compiler takes.
    """
    cores = len(os.sched_getaffinity(0))
    found = re.search(r'MemAvailable:\s*(\d+) kB', MEMORY.read_text()) if MEMORY.is_file() else None
    return max(1, min(cores, int(int(found[1]) / 1e6 / gigabytes))) if found else cores


def cuda_environment() -> dict[str, str]:
    """The variables for a build of CUDA ops.

    Headers of CUDA's libraries that the toolkit lacks are taken from the packages that pip has installed for torch.

    Raises:
        NoCuda: torch, nvcc or a header is not there, or they do not fit each other.
    """
    import torch
    from torch.utils.cpp_extension import CUDA_HOME

    if torch.version.cuda is None:
        raise NoCuda('this is a CPU build of torch')
    if CUDA_HOME is None:
        raise NoCuda('there is no nvcc; CUDA_HOME names the folder of a CUDA toolkit')
    # nvcc may be a script on PATH, far from the toolkit that it calls
    home = next((home for home in map(Path, (CUDA_HOME, USUAL_CUDA_HOME))
                 if (home / 'include' / 'cuda_runtime.h').exists() and (home / 'bin' / 'nvcc').exists()), None)
    if home is None:
        raise NoCuda(f'{CUDA_HOME} has no bin/nvcc or include/cuda_runtime.h; CUDA_HOME names the folder of a toolkit')
    release = re.search(r'release (\d+)\.', subprocess.check_output([home / 'bin' / 'nvcc', '--version'], text=True))
    if release and release[1] != torch.version.cuda.partition('.')[0]:
        raise NoCuda(f'nvcc is of CUDA {release[1]}, torch is built for CUDA {torch.version.cuda}')
    of_pip = sorted((Path(torch.__file__).parents[1] / 'nvidia').glob('*/include'))
    lacking = [name for name in CUDA_HEADERS if not (home / 'include' / name).exists()]
    folders = {name: next((folder for folder in of_pip if (folder / name).exists()), None) for name in lacking}
    absent = [name for name, folder in folders.items() if folder is None]
    if absent:
        raise NoCuda(f'{", ".join(absent)} of CUDA\'s libraries not found below {home}')
    env = dict(CUDA_HOME=str(home))
    if lacking:
        env['CPLUS_INCLUDE_PATH'] = os.pathsep.join(filter(None, [
            *dict.fromkeys(map(str, folders.values())), os.environ.get('CPLUS_INCLUDE_PATH')]))
    return env


def architectures(torch_s: list[str]) -> str:
    """TORCH_CUDA_ARCH_LIST for the GPUs that a torch was built for: ['sm_80', 'sm_90', 'compute_90'] -> '8.0;9.0+PTX'.

    The newest has PTX too, which still newer GPUs compile for themselves.
    """
    numbers = sorted({int(name.removeprefix('sm_').rstrip('af')) for name in torch_s if name.startswith('sm_')})
    return ';'.join(f'{number // 10}.{number % 10}' for number in numbers) + ('+PTX' if numbers else '')


def precompile_header(build_dir: Path, env: dict[str, str]) -> Path | None:
    """Compiles torch's headers once; None, with the reason printed, where the build could not use the result."""
    from torch.utils.cpp_extension import include_paths

    header = (build_dir / 'torch_once.h').resolve()
    header.write_text('#include <torch/types.h>\n')
    includes = [flag for path in [*include_paths(), sysconfig.get_path('include')] for flag in ('-isystem', path)]
    started = time.time()
    flags = BUILD_FLAGS
    for attempt in range(2):
        compiled = subprocess.run(
            [env.get('CXX', 'g++'), *COMPILE_FLAGS, *flags, *includes, '-x', 'c++-header', str(header),
             '-o', f'{header}.gch'], capture_output=True, text=True)
        if compiled.returncode:
            reason = compiled.stderr.strip().splitlines()[-1:]
            print(f'    the compiler cannot precompile the header: {reason}', flush=True)
            return None
        if header_is_used(header, build_dir / 'probe', env):
            print(f'    torch headers precompiled in {time.time() - started:.0f} s', flush=True)
            return header
        if attempt or (flags := flags_of_probe(build_dir / 'probe')) == BUILD_FLAGS:
            break
    print('    the compiler does not use the precompiled header with these flags', flush=True)
    return None


def flags_of_probe(probe: Path) -> list[str]:
    """What this torch adds to COMPILE_FLAGS, from the build file that it has written; torch 2.6 adds four macros."""
    for path in probe.rglob('build.ninja'):
        if found := re.search(r'^post_cflags = (.*)', path.read_text(), re.MULTILINE):
            return ['-fPIC', *shlex.split(found[1])]
    return BUILD_FLAGS


def header_is_used(header: Path, probe: Path, env: dict[str, str]) -> bool:
    """Builds a one-line extension as mmcv is built; gcc -H marks a precompiled header that it used with '!'."""
    shutil.rmtree(probe, ignore_errors=True)
    probe.mkdir(parents=True)
    (probe / 'setup.py').write_text(PROBE_SETUP)
    (probe / 'probe.cpp').write_text('int probe() { return 0; }\n')
    flags = ' '.join([*COMPILE_FLAGS, '-H', '-include', str(header)])
    built = subprocess.run([sys.executable, 'setup.py', 'build_ext'], cwd=probe, capture_output=True, text=True,
                           env={**env, 'CFLAGS': flags, 'CXXFLAGS': flags})
    return f'! {header}.gch' in built.stdout + built.stderr


def build_wheel(source: Path, env: dict[str, str]) -> str:
    """Runs mmcv's own build and shows its progress; returns the wheel's path.

    Raises:
        SystemExit: the build failed; the message has the compiler's last lines and the log's place.
    """
    log_path = source / 'build.log'
    started = time.time()
    shown = 0.0
    with open(log_path, 'w') as log, subprocess.Popen(
            [sys.executable, 'setup.py', '-q', 'bdist_wheel'], cwd=source, env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as build:
        for line in build.stdout:
            log.write(line)
            step = re.match(r'\[(\d+)/(\d+)\]', line)
            if step and (time.time() - shown > 10 or step[1] == step[2]):
                shown = time.time()
                print(f'    compiled {step[1]:>3} of {step[2]} files, {shown - started:4.0f} s', flush=True)
    if build.returncode:
        tail = ''.join(log_path.read_text().splitlines(keepends=True)[-12:])
        raise SystemExit(f'{tail}\nerror: the build of mmcv failed; the complete log is {log_path}')
    return str(max((source / 'dist').glob('*.whl'), key=lambda wheel: wheel.stat().st_mtime))


if __name__ == '__main__':
    sys.exit(main())
