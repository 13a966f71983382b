"""What is wrong with a config is said before anything is built."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from mmkd.build import read_config
from mmkd.mixin import is_distillation

# What mmcv 1 read at the top of a config and mmengine ignores without a word.
LEGACY = {
    'optimizer': 'optim_wrapper=dict(optimizer=dict(…))',
    'optimizer_config': 'optim_wrapper=dict(clip_grad=…, accumulative_counts=…)',
    'lr_config': 'param_scheduler=[…]',
    'momentum_config': 'param_scheduler=[…]',
    'runner': "train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=…)",
    'total_epochs': "train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=…)",
    'total_iters': "train_cfg=dict(type='IterBasedTrainLoop', max_iters=…)",
    'checkpoint_config': "default_hooks=dict(checkpoint=dict(type='CheckpointHook'))",
    'log_config': "default_hooks=dict(logger=dict(type='LoggerHook')), visualizer=…",
    'evaluation': 'val_evaluator=…, val_cfg=…, train_cfg=dict(val_interval=…)',
    'data': 'train_dataloader=…, val_dataloader=…, test_dataloader=…',
    'workflow': 'train_cfg=dict(val_interval=…)',
    'dist_params': 'env_cfg=dict(dist_cfg=…)',
    'resume_from': 'resume=True with load_from=…, or --resume',
    'fp16': "optim_wrapper=dict(type='AmpOptimWrapper'), or --amp",
}
# What shards a model or takes it apart. The frozen teacher stands outside of the module
# tree, where they do not see it; terms and paths are those of the whole model.
SHARDING = {
    'FSDPStrategy',
    'DeepSpeedStrategy',
    'ColossalAIStrategy',
    'MMFullyShardedDataParallel',
    'MMSeparateDistributedDataParallel',
}


def check_legacy(config: Config) -> None:
    """Raise if the config has a key that only mmcv 1 read. An empty value is none."""
    for key, successor in LEGACY.items():
        if not config.get(key) or (key == 'optimizer' and _is_in_use(config)):
            continue
        raise ValueError(
            f"The config has '{key}', a key of mmcv 1 that mmengine ignores. Write "
            f'{successor} instead. If it is a leftover of a base config and nothing is '
            f'lost without it, set it to None: --cfg-options {key}=None'
        )


def _is_in_use(config: Config) -> bool:
    """Whether ``optimizer`` is a mere variable that ``optim_wrapper`` was made of."""
    used = (config.get('optim_wrapper') or {}).get('optimizer')
    if config.get('default_scope') == 'mmseg':  # the variable stays behind in its bases
        return used is not None and 'type' in config.optimizer
    return bool(used == config.optimizer)


def check_sharding(config: Config) -> None:
    """Raise if a distillation is to be trained in shards."""
    if not is_distillation(config):
        return
    strategy = config.get('strategy') or {}
    for place, part in (
        ('strategy', strategy),
        ('strategy.model_wrapper', strategy.get('model_wrapper')),
        ('model_wrapper_cfg', config.get('model_wrapper_cfg')),
    ):
        kind = str((part or {}).get('type', '')).rpartition('.')[2]
        if kind in SHARDING:
            raise ValueError(
                f"{place}=dict(type='{kind}'): a distillation is not trained in "
                'shards, as the frozen teacher stands outside of the model that would '
                'be sharded. Leave it out: DDP is the default. To save memory: '
                "--amp, teacher_options=dict(dtype='float16'), a smaller batch with "
                'optim_wrapper.accumulative_counts, or a recorded teacher.'
            )


def check_files(config: Config) -> None:
    """Raise if a config or a checkpoint file that a run will need is not there."""
    files = {'load_from': config.get('load_from')}
    if is_distillation(config):
        model = config.model
        files['student_ckpt'] = model.get('student_ckpt')
        teachers = dict(model.get('teachers') or {})
        if 'teacher' in model:
            teachers['teacher'] = dict(
                model=model.teacher, ckpt=model.get('teacher_ckpt')
            )
        for name, teacher in teachers.items():
            files[f'checkpoint of the {name}'] = teacher.get('ckpt')
            if isinstance(teacher.get('model'), str):
                read_config(teacher['model'])
        if isinstance(model.get('student'), str):
            read_config(model.student)
    for what, file in files.items():
        if file and file != 'random' and '://' not in file:
            check_file(file, what)


def check_file(file: str, what: str) -> None:
    """Raise if a checkpoint is not there."""
    if not Path(file).expanduser().is_file():
        raise FileNotFoundError(f"{what}: there is no file '{file}'.")
