"""CheckData: what was made from the training set is of this training set."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmkd.build import model_of
from mmkd.registry import HOOKS


@HOOKS.register_module()
class CheckData(Hook):  # type: ignore[misc]
    """Are codebooks, memories and recordings of the data that the run trains on?

    It asks every loss of a term that counts (:meth:`mmkd.loss.Loss.check_data`), and
    every recording; most losses have nothing to say.
    """

    def before_train(self, runner: Runner) -> None:
        """Raise at what was made of other data."""
        model = model_of(runner)
        dataset = runner.train_dataloader.dataset
        for term in getattr(model, 'terms', {}).values():
            for loss in term.losses if term.base_weight else ():
                loss.check_data(dataset)
        for recording in getattr(model, 'recordings', {}).values():
            recording.check_data(runner.train_dataloader)
