"""Loading a model strictly: what of a checkpoint fits it, and a report on that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mmkd.checkpoints.broken import broken_weights
from mmkd.checkpoints.read import StateDict, behind, read_weights
from mmkd.checkpoints.report import Report


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
        trust: See :func:`mmkd.checkpoints.read.read_checkpoint`.
        of_file: Ask for that share of the file's tensors instead.
    """
    weights = read_weights(path, trust)
    source = f'{what} from {path}'
    prefix = _prefix(weights, model.state_dict())
    if prefix:
        weights = behind(prefix, weights)
        source += f", what its names have behind '{prefix}'"
    report = _load(model, weights, source)
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


def _load(model: nn.Module, weights: StateDict, source: str) -> Report:
    """Put into a model what fits it."""
    own = {key: value.shape for key, value in model.state_dict().items()}
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
    return Report(source, matched, missing, odd, list(result.unexpected_keys))


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
