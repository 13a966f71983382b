"""Losses: one paper, one file; ``forward(student, teacher, targets=None)``."""

from mmkd.losses.at import AttentionTransfer
from mmkd.losses.cwd import CWD
from mmkd.losses.kd import KD
from mmkd.losses.letkd import LetKDIntermediate, LetKDPenultimate
from mmkd.losses.mse import MSE
from mmkd.losses.overhaul import Overhaul
from mmkd.losses.sakd import SAKDBranch, SAKDMatch

__all__ = [
    'AttentionTransfer',
    'CWD',
    'KD',
    'LetKDIntermediate',
    'LetKDPenultimate',
    'MSE',
    'Overhaul',
    'SAKDBranch',
    'SAKDMatch',
]
