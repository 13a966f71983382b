"""Losses: one paper, one file; ``forward(student, teacher, targets=None)``."""

from mmkd.losses.at import AttentionTransfer
from mmkd.losses.cwd import CWD
from mmkd.losses.kd import KD
from mmkd.losses.mse import MSE

__all__ = ['AttentionTransfer', 'CWD', 'KD', 'MSE']
