"""Lists known vulnerabilities of the packages in constraints.txt with pip-audit: make audit

pip-audit is installed in a separate environment, .venv/audit, and queries OSV (https://api.osv.dev) or, with --service
pypi, PyPI. The exit code is 0 if no vulnerability is known, 1 if there are some, and 2 if pip-audit can't be installed,
the service can't be reached, or it does not know some of the packages.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

import mmext  # noqa: F401
from mmext.engine import cli
from mmext.errors import UserError, shorten

ROOT = Path(__file__).resolve().parent.parent
PINNED = 'pip-audit==2.10.1'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--service', choices=('osv', 'pypi'), default='osv',
                        help='the service to query (default: %(default)s)')
    parser.add_argument('--requirements', type=Path, default=ROOT / 'constraints.txt', metavar='FILE',
                        help='the file with pinned packages (default: %(default)s)')
    parser.add_argument('--environment', type=Path, default=ROOT / '.venv' / 'audit', metavar='DIR',
                        help='the environment for pip-audit (default: %(default)s)')
    args = parser.parse_args()
    python = set_up(args.environment)
    pins = pinned(args.requirements)
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, 'requirements.txt')
        listed.write_text('\n'.join(pins) + '\n')
        done = run(python, '-m', 'pip_audit', '--requirement', listed, '--no-deps', '--disable-pip', '--format', 'json',
                   '--vulnerability-service', args.service, '--progress-spinner', 'off', '--timeout', '30')
    try:
        answers = json.loads(done.stdout)['dependencies']
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ['no reason given'])[-1]
        raise UserError(f'audit: {args.service} cannot be reached, so nothing is known about the {len(pins)} pinned '
                        f'packages ({reason[-160:]}); run it with network access') from None
    return tell(answers, args.service)


def tell(answers: list[dict], service: str) -> int:
    """Prints the known vulnerabilities; returns 1 if there are any."""
    unknown = [answer['name'] for answer in answers if 'skip_reason' in answer]
    known = [(answer, fault) for answer in answers for fault in answer.get('vulns', ())]
    for answer, fault in known:
        fixed = ', '.join(fault.get('fix_versions', ())) or 'no version'
        print(f'{answer["name"]} {answer["version"]}: {fault["id"]}, fixed in {fixed}')
    print(f'{len(known)} known vulnerabilities in {len(answers) - len(unknown)} pinned packages, source: {service}')
    if unknown:
        raise UserError(f'audit: {service} does not know {len(unknown)} of the {len(answers)} pinned packages '
                        f'({shorten(unknown)}); it may be a mirror without vulnerability data')
    return int(bool(known))


def pinned(path: Path) -> list[str]:
    """The lines name==version that apply to this Python. Raises a UserError for a line without a version."""
    from packaging.requirements import InvalidRequirement, Requirement

    from mmext.files import read_text

    pins, loose = [], []
    for line in read_text(path, 'list of packages').splitlines():
        text = line.partition('#')[0].strip()
        if not text:
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            raise UserError(f'{path}: {text!r} is not a requirement') from None
        if requirement.marker is None or requirement.marker.evaluate():
            exact = [part for part in requirement.specifier if part.operator == '==']
            (pins if exact else loose).append(f'{requirement.name}{requirement.specifier}')
    if loose:
        raise UserError(f'{path}: {shorten(loose)}: no version is pinned with ==')
    return pins


def set_up(folder: Path) -> Path:
    """The Python of an environment with pip-audit, which is created if it does not exist."""
    python = folder / 'bin' / 'python'
    if python.exists() and not run(python, '-c', 'import pip_audit').returncode:
        return python
    venv.create(folder, with_pip=True, clear=True)
    done = run(python, '-m', 'pip', 'install', '--quiet', PINNED)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ['no reason given'])[-1]
        raise UserError(f'audit: {PINNED} cannot be installed into {folder} ({reason[:200]})')
    return python


def run(*command: object) -> subprocess.CompletedProcess:
    words: Sequence[str] = list(map(str, command))
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    return subprocess.run(words, capture_output=True, text=True, env=environment)


if __name__ == '__main__':
    cli.run(main)
