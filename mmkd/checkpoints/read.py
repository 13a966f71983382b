"""Reading checkpoint files, which are untrusted input.

Files are read with the unpickler of :mod:`mmkd.checkpoints.unpickle`, which runs none
of their code. ``MMKD_TRUST_CHECKPOINTS=1`` switches this off.
"""

from __future__ import annotations

import logging
import os
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmkd.checkpoints.download import download, hash_in
from mmkd.checkpoints.unpickle import safe_pickle
from mmkd.checkpoints.whole import damaged_part

StateDict = dict[str, Tensor]


def read_checkpoint(
    path: str | Path, map_location: Any = 'cpu', trust: bool | None = None
) -> tuple[Any, set[str]]:
    """Read a checkpoint without running code from it, and compare its checksums.

    Args:
        path: A file, or an http(s) address (downloaded once, to torch's hub cache).
        map_location: As in ``torch.load``.
        trust: Unpickle everything, code included. None: ask MMKD_TRUST_CHECKPOINTS.

    Returns:
        The content, and the names of the classes that were replaced by
        :class:`mmkd.checkpoints.unpickle.Inert`.
    """
    file = download(str(path)) if '://' in str(path) else Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"There is no checkpoint file '{path}'.")
    if trust is None:
        trust = os.environ.get('MMKD_TRUST_CHECKPOINTS', '') not in ('', '0')
    foreign: set[str] = set()
    kwargs = {} if trust else {'pickle_module': safe_pickle(foreign)}
    content = damage = None
    try:
        if is_zipfile(file):
            damage = damaged_part(file)
        else:
            _compare_with_name(file)
        if damage is None:
            content = torch.load(
                file, map_location=map_location, weights_only=False, **kwargs
            )
    except Exception as error:  # a broken pickle can raise nearly anything
        raise RuntimeError(
            f"'{path}' cannot be read as a checkpoint. Is the file complete, and is it "
            f'one of torch? ({type(error).__name__}: {error})'
        ) from error
    if damage is not None:
        raise RuntimeError(
            f"'{path}' is damaged: its part '{damage}' is not what its checksum says. "
            'Copy or download it again, or take another checkpoint.'
        )
    return content, foreign


def _compare_with_name(file: Path) -> None:
    """Of a file in torch's old format nothing but a hash in its name may tell."""
    said = hash_in(file.name)
    if said is None:
        return
    with file.open('rb') as opened:
        digest = sha256()
        while block := opened.read(2**20):
            digest.update(block)
    if not digest.hexdigest().startswith(said):
        print_log(
            f"'{file}' is not what its name says: its SHA-256 begins with "
            f'{digest.hexdigest()[: len(said)]}. Where you did not change it yourself, '
            'it is damaged or not the published one: download it again.',
            'current',
            logging.WARNING,
        )


def read_weights(path: str | Path, trust: bool | None = None) -> StateDict:
    """Return the tensors of a checkpoint, without 'module.' and 'student.' prefixes."""
    content, _ = read_checkpoint(path, trust=trust)
    for key in ('state_dict', 'model'):
        if isinstance(content, dict):
            content = content.get(key, content)
    if not isinstance(content, dict):
        raise RuntimeError(
            f"'{path}' holds a {type(content).__name__}, not a state dict. If it is a "
            'whole pickled model, save its state_dict() instead.'
        )
    weights = {key: value for key, value in content.items() if _is_weight(key, value)}
    if not weights:
        raise RuntimeError(f"'{path}' holds no weights.")
    for prefix in ('module.', 'student.'):
        if any(key.startswith(prefix) for key in weights):
            weights = behind(prefix, weights)
    return weights


def behind(prefix: str, weights: StateDict) -> StateDict:
    """The weights whose names begin with ``prefix``, without it."""
    return {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}


def _is_weight(key: Any, value: Any) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor)
