"""Reading checkpoint files, which are untrusted input, and loading a model strictly.

A ``.pth`` file is a pickle, and a pickle can run code. torch's ``weights_only=True``
refuses the checkpoints that mmengine itself writes (they hold log buffers), so files
are read here with an unpickler that knows tensors, containers, numbers, NumPy arrays
and mmengine's log buffer. Any other class becomes an inert placeholder: none of its
code is imported or run. ``MMKD_TRUST_CHECKPOINTS=1`` switches this off.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlparse
from zipfile import is_zipfile

import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging import HistoryBuffer, print_log
from mmengine.optim import OneCycleParamScheduler
from mmengine.runner import CheckpointLoader, checkpoint
from torch import Tensor, nn

from mmkd.checkpoints.whole import damaged_part
from mmkd.finite import broken_weights

StateDict = dict[str, Tensor]
_ONE_CYCLE = OneCycleParamScheduler

_HARMLESS = {
    'builtins': 'bool bytearray bytes complex dict float frozenset int list range set '
    'slice str tuple',
    'collections': 'OrderedDict defaultdict',
    '_codecs': 'encode',
    'torch': 'Size device Tensor',
    'torch._utils': '_rebuild_parameter _rebuild_tensor _rebuild_tensor_v2',
    'torch.nn.parameter': 'Parameter',
    'torch.storage': 'TypedStorage UntypedStorage',
    'numpy': 'dtype ndarray',
    'numpy.core.multiarray': '_reconstruct scalar',
    'numpy._core.multiarray': '_reconstruct scalar',
}


class Inert:
    """What stands for an object whose class was not loaded. It does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Inert:
        """Stand for the result of a call as well."""
        return Inert()

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        """Swallow an item of a foreign list."""

    def extend(self, _: Any) -> None:
        """Swallow the items of a foreign list."""

    add = append


class _OneCycle(Inert):
    """Stands for mmengine's scheduler, which saves a function of its own by name."""


class _LogBuffer(HistoryBuffer):  # type: ignore[misc]
    """mmengine's log buffer, whose own ``__setstate__`` takes functions from a file."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        state.pop('statistics_methods', None)
        self.__class__ = HistoryBuffer  # so that it is saved as what it is
        self.__setstate__(state)


_STAND_INS: dict[tuple[str, str], type] = {
    (HistoryBuffer.__module__, 'HistoryBuffer'): _LogBuffer,
    (_ONE_CYCLE.__module__, 'OneCycleParamScheduler'): _OneCycle,
}


def _is_torch_type(name: str) -> bool:
    """A dtype, or a kind of storage."""
    found = getattr(torch, name, None)
    return isinstance(found, torch.dtype) or bool(re.fullmatch(r'\w+Storage', name))


def _in_python_3(module: str, name: str) -> tuple[str, str]:
    """Today's name of a class: torch's files are in the protocol of Python 2."""
    if module != '__builtin__':
        return module, name
    return 'builtins', 'range' if name == 'xrange' else name


def _safe_pickle(foreign: set[str]) -> Any:
    """A stand-in for the module ``pickle`` that never imports what a file names."""

    # The one in Python: for a few wrong bytes, the one in C asks for all memory.
    class Unpickler(pickle._Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            """Return what the file names if it is harmless, else Inert."""
            module, name = _in_python_3(module, name)
            if name in _HARMLESS.get(module, '').split():
                return super().find_class(module, name)
            if (module, name) in _STAND_INS:
                return _STAND_INS[module, name]
            if module == 'torch' and _is_torch_type(name):
                return getattr(torch, name)
            if (module, name) == ('builtins', 'getattr'):
                return attribute
            foreign.add(f'{module}.{name}')
            return Inert

    def attribute(owner: Any = None, name: str = '', *_: Any) -> Any:
        """Log buffers and one scheduler save functions of theirs; nothing else."""
        if owner is _LogBuffer and name in HistoryBuffer._statistics_methods:
            return getattr(owner, name)
        if owner is _OneCycle and name in ('_annealing_cos', '_annealing_linear'):
            return getattr(_ONE_CYCLE, name)
        foreign.add('builtins.getattr')
        return Inert

    def load(file: Any, **kwargs: Any) -> Any:
        return Unpickler(file, **kwargs).load()

    return SimpleNamespace(Unpickler=Unpickler, load=load, __name__='mmkd_safe_pickle')


def read_checkpoint(
    path: str | Path, map_location: Any = 'cpu', trust: bool | None = None
) -> tuple[Any, set[str]]:
    """Read a checkpoint without running code from it, and compare its checksums.

    Args:
        path: A file, or an http(s) address (downloaded once, to torch's hub cache).
        map_location: As in ``torch.load``.
        trust: Unpickle everything, code included. None: ask MMKD_TRUST_CHECKPOINTS.

    Returns:
        The content, and the names of the classes that were replaced by :class:`Inert`.
    """
    file = download(str(path)) if '://' in str(path) else Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"There is no checkpoint file '{path}'.")
    if trust is None:
        trust = os.environ.get('MMKD_TRUST_CHECKPOINTS', '') not in ('', '0')
    foreign: set[str] = set()
    kwargs = {} if trust else {'pickle_module': _safe_pickle(foreign)}
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
    said = _hash_in(file.name)
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


def _hash_in(name: str) -> str | None:
    """What publishers write into a name: 'resnet50-0676ba61.pth'. A date is none."""
    date = r'(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\.'
    found = re.search(rf'-(?!{date})([a-f0-9]{{8,}})\.', name)
    return found and found.group(1)


def download(url: str) -> Path:
    """Fetch ``url`` into torch's hub cache, on one rank of each node."""
    if urlparse(url).scheme not in ('http', 'https'):
        raise ValueError(
            f"'{url}': a checkpoint is a file or an http(s) address. Download it and "
            'give the path.'
        )
    hub: str = torch.hub.get_dir()  # type: ignore[no-untyped-call]
    folder = Path(hub) / 'checkpoints'
    file = folder / Path(urlparse(url).path).name
    error: Exception | None = None
    first = int(os.environ.get('LOCAL_RANK', get_rank())) == 0
    if first and not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(
                url, str(file), hash_prefix=_hash_in(file.name)
            )
        except Exception as caught:  # network errors come in many classes
            error = caught
    barrier()
    if not file.is_file():
        why = error or "see this node's first rank"
        raise RuntimeError(
            f"Could not download '{url}' ({why}). Without a network, download it "
            f"elsewhere and put it at '{file}'."
        ) from error
    return file


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
            weights = _behind(prefix, weights)
    return weights


def _behind(prefix: str, weights: StateDict) -> StateDict:
    """The weights whose names begin with ``prefix``, without it."""
    return {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}


def _is_weight(key: Any, value: Any) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor)


def _prefix(weights: StateDict, own: Mapping[str, Any]) -> str:
    """What stands before the model's names where a file wraps it: 'model.' or the like.

    '' where some names fit as they are, or where two models are in the file.
    """
    if weights.keys() & own.keys():
        return ''
    first = next(iter(own), '')
    found = {key[: -len(first)] for key in weights if key.endswith(f'.{first}')}
    return found.pop() if len(found) == 1 else ''


def _counts(key: str) -> bool:
    """Old files lack BatchNorm's counters of batches, and nobody needs them."""
    return not key.endswith('num_batches_tracked')


@dataclass
class Report:
    """How the tensors of a file met those of a model."""

    what: str
    matched: int
    missing: list[str]
    mismatched: dict[str, str]
    unexpected: list[str]

    @property
    def share(self) -> float:
        """Matched tensors, as a share of the model's."""
        return self.matched / max(
            1, self.matched + len(self.missing) + len(self.mismatched)
        )

    @property
    def used(self) -> float:
        """Matched tensors, as a share of the file's."""
        return self.matched / max(
            1, self.matched + len(self.unexpected) + len(self.mismatched)
        )

    def __str__(self) -> str:
        lines = [
            f'{self.what}: {self.matched} tensors matched ({self.share:.1%} of the '
            f'model), {len(self.missing)} missing, {len(self.mismatched)} of another '
            f'shape, {len(self.unexpected)} not used'
        ]
        for name, keys in (
            ('missing', self.missing),
            ('another shape', list(self.mismatched.values())),
            ('not used', self.unexpected),
        ):
            if keys:
                more = f' and {len(keys) - 4} more' if len(keys) > 4 else ''
                lines.append(f'  {name}: {", ".join(keys[:4])}{more}')
        return '\n'.join(lines)


def load_weights(  # noqa: PLR0913
    model: nn.Module,
    path: str | Path,
    what: str,
    min_match: float = 1.0,
    trust: bool | None = None,
    of_file: bool = False,
) -> Report:
    """Load a checkpoint into ``model`` and report; stop below ``min_match``.

    Args:
        model: Receives the weights.
        path: A file or an http(s) address.
        what: How to call the model in messages ('teacher').
        min_match: The least share of the model's tensors that must be found with the
            right shape. Batch counters of BatchNorm do not count.
        trust: See :func:`read_checkpoint`.
        of_file: Ask for that share of the file's tensors instead.
    """
    weights = read_weights(path, trust)
    own = {key: value.shape for key, value in model.state_dict().items()}
    source, prefix = f'{what} from {path}', _prefix(weights, own)
    if prefix:
        weights = _behind(prefix, weights)
        source += f", what its names have behind '{prefix}'"
    try:
        result = model.load_state_dict(weights, strict=False)
        odd = {}
    except RuntimeError as error:  # shapes, as far as the model's hooks mend none
        odd = {
            key: f'{key} (file {tuple(value.shape)}, here {tuple(own[key])})'
            for key, value in weights.items()
            if key in own and value.shape != own[key]
        }
        if not odd:
            raise RuntimeError(f'{source}: {error}') from error
        fitting = {key: value for key, value in weights.items() if key not in odd}
        result = model.load_state_dict(fitting, strict=False)
    missing = [key for key in result.missing_keys if key not in odd and _counts(key)]
    matched = sum(map(_counts, own)) - len(missing) - len(odd)
    report = Report(source, matched, missing, odd, list(result.unexpected_keys))
    if (report.used if of_file else report.share) < min_match:
        raise RuntimeError(
            f'{report}\nAt least {min_match:.0%} of the '
            f'{"file" if of_file else what} must match. Is this the checkpoint of '
            f'another model? Allow less with {what}_min_match.'
        )
    broken = broken_weights(model)
    if broken:
        more = ', …' if len(broken) > 4 else ''
        raise RuntimeError(
            f'{what} from {path}: {len(broken)} tensors hold NaN or infinity '
            f'({", ".join(broken[:4])}{more}). The run that saved it had diverged: '
            'take an earlier checkpoint.'
        )
    print_log(str(report), 'current')
    return report


def check_share(model: nn.Module, weights: StateDict, min_match: float) -> None:
    """Raise if less than ``min_match`` of the tensors in ``weights`` fit ``model``."""
    own = {key: value.shape for key, value in model.state_dict().items()}
    odd = [k for k, v in weights.items() if _counts(k) and own.get(k) != v.shape]
    total = sum(map(_counts, weights))
    if total and total - len(odd) < min_match * total:
        raise RuntimeError(
            f'Only {total - len(odd)} of the {total} tensors of the checkpoint fit the '
            f'student (not, for instance: {", ".join(odd[:4])}). Is it of another '
            'model? Allow less with student_min_match.'
        )


def read_for_mmengine(filename: str, map_location: Any = None, **_: Any) -> Any:
    """Reader of local files and addresses for ``load_from`` and ``resume``.

    Raises if a part that training needs would have to be unpickled as code.
    """
    content, foreign = read_checkpoint(filename, map_location)
    if isinstance(content, dict):
        names = ', '.join(sorted(foreign)) or 'another class'
        needed = {key: value for key, value in content.items() if key != 'meta'}
        if _has_inert(needed):
            raise RuntimeError(
                f"'{filename}' holds objects of {names}. Loading "
                'them would run code from the file. If you made it or trust who did, '
                'set MMKD_TRUST_CHECKPOINTS=1.'
            )
        if foreign:
            print_log(
                f"'{filename}': not loaded from its meta data: {names}",
                'current',
                logging.WARNING,
            )
    return content


def _has_inert(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_inert, value)) or any(map(_has_inert, value.values()))
    if isinstance(value, (list, tuple, set)):
        return any(map(_has_inert, value))
    return value is Inert or isinstance(value, Inert)


def register_safe_reader() -> None:
    """Make mmengine's ``load_from`` and ``resume`` read through this module."""
    CheckpointLoader.register_scheme(
        ('', 'http://', 'https://'), read_for_mmengine, force=True
    )
    # What it makes of names like torchvision://resnet50 are addresses for this.
    checkpoint.load_from_http = read_for_mmengine
