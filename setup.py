"""Install mmkd. All metadata is here; tool settings are in pyproject.toml."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
# What a wheel carries beside the code, in mmkd/.mim, as the packages of OpenMMLab do.
CARRIED = ('configs', 'tools')
# Tested with exactly these; see requirements/. Nobody's environment is changed unasked:
# mmkd alone requires nothing, since it lives in one that OpenMMLab is installed in.
EXTRAS = {
    'openmmlab': [
        'torch>=2.5.1',
        'torchvision>=0.20.1',
        'mmengine>=0.10.7',
        'mmcv>=2.1.0',
        'mmdet>=3.3.0',
        'mmsegmentation>=1.2.2',
        'mmpretrain>=1.2.0',
        'ftfy',
        'regex',
    ],
    'onedl': [
        'torch>=2.12.1',
        'torchvision>=0.27.1',
        'onedl-mmengine>=0.10.12',
        'onedl-mmcv>=2.3.6',
        'onedl-mmdetection>=3.5.1',
        'onedl-mmsegmentation>=1.4.2',
        'onedl-mmpretrain>=1.3.6',
        'ftfy',
        'regex',
    ],
    'dev': [
        'mypy>=1.18.2',
        'pytest>=8.4.2',
        'pytest-cov>=7.1.0',
        'pytest-xdist>=3.8.0',
        'ruff>=0.14.4',
        'scikit-learn',
    ],
}


class BuildWithConfigs(build_py):
    """Copy configs and tools into the package. An editable install has them beside."""

    def run(self) -> None:
        """Build the package, then add what it carries."""
        super().run()
        if self.editable_mode:
            return
        for name in CARRIED:
            target = Path(self.build_lib) / 'mmkd' / '.mim' / name
            shutil.rmtree(target, ignore_errors=True)
            ignored = shutil.ignore_patterns('__pycache__', '*.pyc')
            shutil.copytree(HERE / name, target, ignore=ignored)

    def get_source_files(self) -> list[str]:
        """Let source distributions have them too."""
        carried = [
            str(file.relative_to(HERE))
            for name in CARRIED
            for file in sorted((HERE / name).rglob('*'))
            if file.is_file() and '__pycache__' not in file.parts
        ]
        return super().get_source_files() + carried


def read(name: str) -> str:
    """The text of a file, if it is there."""
    file = HERE / name
    return file.read_text(encoding='utf-8') if file.is_file() else ''


version = re.search(r"__version__ = '(.+)'", read('mmkd/__init__.py'))
assert version is not None

setup(
    name='mmkd',
    version=version.group(1),
    description='Knowledge distillation for OpenMMLab',
    long_description=read('README.md'),
    long_description_content_type='text/markdown',
    packages=find_packages(include=['mmkd', 'mmkd.*']),
    python_requires='>=3.9',
    install_requires=[],
    extras_require=EXTRAS,
    cmdclass={'build_py': BuildWithConfigs},
)
