"""AMP, gradient accumulation and torch.compile on real models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import zoo


def in_fp32(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        half = torch.bfloat16
        is_half = [isinstance(a, torch.Tensor) and a.dtype == half for a in args]
        cast = [a.float() if is_it else a for a, is_it in zip(args, is_half)]
        result = function(*cast, **kwargs)
        whole = isinstance(result, torch.Tensor) and any(is_half)
        return result.to(half) if whole else result

    return run


@pytest.mark.parametrize('kind', zoo.KINDS)
def test_autocast(kind: str, monkeypatch: pytest.MonkeyPatch):
    """A step in bf16: finite, gradients everywhere, terms near their fp32 values."""
    # On a CPU mmcv's RoIAlign and NMS know no bf16, in plain mmdet neither.
    import mmdet.models.dense_heads.rpn_head as rpn
    from mmcv.ops import RoIAlign

    for owner, name in ((rpn, 'batched_nms'), (RoIAlign, 'forward')):
        monkeypatch.setattr(owner, name, in_fp32(getattr(owner, name)))
    distiller = zoo.distiller(kind).train()
    data = distiller.data_preprocessor(zoo.batch(kind))
    seen = []
    distiller.teacher.backbone.register_forward_hook(lambda *o: seen.append(o[-1]))
    torch.manual_seed(0)
    exact = distiller(**data, mode='loss')
    torch.manual_seed(0)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = distiller(**data, mode='loss')
        total, log = distiller.parse_losses(losses)
    total.backward()
    assert seen[-1][-1].dtype == torch.bfloat16  # the teacher is cheap, too
    for name, term in distiller.terms.items():
        assert losses[name].dtype == torch.float32
        assert losses[name].item() == pytest.approx(exact[name].item(), rel=0.2)
        assert all(p.grad.isfinite().all() for p in term.parameters())
    assert all(value.isfinite() for value in log.values())


def test_accumulated_gradients_are_averages():
    """Two halves, accumulated, give the gradient of the whole (norms frozen)."""
    distiller = zoo.distiller('cls').train()
    for module in distiller.student.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    data = distiller.data_preprocessor(zoo.batch('cls', count=4))
    distiller.parse_losses(distiller(**data, mode='loss'))[0].backward()
    whole = [p.grad.clone() for p in distiller.parameters()]
    distiller.zero_grad()
    for part in (slice(2), slice(2, 4)):
        half = {key: value[part] for key, value in data.items()}
        (distiller.parse_losses(distiller(**half, mode='loss'))[0] / 2).backward()
    for parameter, gradient in zip(distiller.parameters(), whole):
        assert torch.allclose(parameter.grad, gradient, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['cls', 'pspnet'])
def test_compile(kind: str):
    """mmengine's ``compile`` compiles train_step: the losses stay, with real graphs."""
    if torch.__version__.startswith('2.1.'):
        pytest.skip("torch 2.1 compiles neither mmpretrain's preprocessor nor _KL")
    torch._dynamo.reset()
    eager, compiled = zoo.distiller(kind), zoo.distiller(kind)
    compiled.load_state_dict(eager.state_dict())
    compiled.teacher.load_state_dict(eager.teacher.state_dict())
    graphs: list[int] = []

    def backend(graph, _):
        graphs.append(len(graph.graph.nodes))
        return graph.forward

    compiled.train_step = torch.compile(compiled.train_step, backend=backend)
    optimizers = [zoo.optimizer(model.train()) for model in (eager, compiled)]
    for step in range(3):
        logs = []
        for model, optimizer in zip((eager, compiled), optimizers):
            data = zoo.batch(kind, seed=step)
            torch.manual_seed(step)
            logs.append(model.train_step(data, optimizer))
        for key in logs[0]:
            assert torch.allclose(logs[0][key], logs[1][key], rtol=1e-3, atol=1e-4), key
        if step == 0:
            first = len(graphs)
    assert sum(graphs) > 50 and len(graphs) < 3 * first
