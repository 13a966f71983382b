"""With all terms at weight zero, distillation is plain training, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import zoo


def train(model: Any, kind: str, prefix: str) -> tuple[list, dict, dict]:
    """Two optimizer steps and a half; returns logged losses, gradients and weights."""
    torch.manual_seed(1)
    model.init_weights()
    model.train()
    optimizer = zoo.optimizer(model, accumulative_counts=2)
    logs = []
    for step in range(5):
        data = zoo.batch(kind, seed=step)
        torch.manual_seed(step)  # dropout and the sampling of regions
        log = model.train_step(data, optimizer)
        logs.append({k: v for k, v in log.items() if 'kd' not in k and 'cw' not in k})
    cut = len(prefix)
    grads = {n[cut:]: p.grad for n, p in model.named_parameters() if prefix in n}
    state = {n[cut:]: v for n, v in model.state_dict().items() if prefix in n}
    return logs, grads, state


@pytest.mark.parametrize('kind', zoo.KINDS)
def test_zero_weight_is_plain_training(kind: str, monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    plain = zoo.plain(kind)
    torch.manual_seed(0)
    distiller = zoo.distiller(kind, weight=0.0)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError('the teacher ran')

    for module in distiller.teacher.modules():
        monkeypatch.setattr(module, 'forward', refuse)
    logs, grads, state = train(plain, kind, '')
    other_logs, other_grads, other_state = train(distiller, kind, 'student.')
    assert logs == other_logs
    assert state.keys() == other_state.keys()
    assert all(torch.equal(state[key], other_state[key]) for key in state)
    assert sum(grad is not None for grad in grads.values()) > 10
    for key, grad in grads.items():
        other = other_grads[key]
        assert (grad is None and other is None) or torch.equal(grad, other)


@pytest.mark.parametrize('kind', zoo.KINDS)
def test_weights_do_change_training(kind: str):
    """The counterpart: the test above would notice a term that counts."""
    states = []
    for weight in (0.0, 1e-3):
        torch.manual_seed(0)
        states.append(train(zoo.distiller(kind, weight), kind, 'student.')[2])
    assert any(not torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize('kind', zoo.KINDS)
@pytest.mark.parametrize('mode', ['tensor', 'predict'])
def test_prediction_is_the_students(kind: str, mode: str):
    distiller = zoo.distiller(kind).eval()
    data = distiller.data_preprocessor(zoo.batch(kind))
    inputs, samples = data['inputs'], data['data_samples']
    torch.manual_seed(0)
    ours = distiller(inputs, samples, mode=mode)
    torch.manual_seed(0)
    theirs = distiller.student(inputs, samples, mode=mode)
    assert repr(ours) == repr(theirs)
