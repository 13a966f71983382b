"""Install mmkd. All metadata is here; tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = re.search(
    r"__version__ = '(.+)'", (here / 'mmkd' / '__init__.py').read_text()
)

setup(
    name='mmkd',
    version=version.group(1),
    packages=find_packages(include=['mmkd', 'mmkd.*']),
    python_requires='>=3.9',
)
