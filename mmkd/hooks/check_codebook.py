"""CheckCodebook: what was made from the training set is of this training set."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmkd.build import model_of
from mmkd.codebook.features import batch_of
from mmkd.networks.letkd import KDLayer, describe, overhead
from mmkd.randomness import own_randomness
from mmkd.registry import HOOKS


@HOOKS.register_module()
class CheckCodebook(Hook):  # type: ignore[misc]
    """Are codebook and recording of the data that the run trains on?

    What do KD layers cost? It does nothing where there is none of these.
    """

    def before_train(self, runner: Runner) -> None:
        """Raise at what was made of other data; log parameters and multiplications."""
        model = model_of(runner)
        dataset = runner.train_dataloader.dataset
        for term in getattr(model, 'terms', {}).values():
            if hasattr(term.loss, 'check_data') and term.base_weight:
                term.loss.check_data(dataset)
        for recording in getattr(model, 'recordings', {}).values():
            recording.check_data(runner.train_dataloader)
        if any(isinstance(module, KDLayer) for module in model.modules()):
            with own_randomness():
                height, width = batch_of(model, dataset[0]).shape[2:]
            cost = overhead(model.student, (height, width))
            runner.logger.info(describe(cost, (height, width)))
