"""Losses: one paper, one file; ``forward(student, teacher, targets=None)``."""

from mmkd.losses.at import AT
from mmkd.losses.cwd import CWD
from mmkd.losses.kd import KD, BinaryKD
from mmkd.losses.letkd import LetKDIntermediate, LetKDPenultimate
from mmkd.losses.mse import MSE
from mmkd.losses.ofd import OFD
from mmkd.losses.sakd import SAKDBranch, SAKDMatch

__all__ = [
    'AT',
    'BinaryKD',
    'CWD',
    'KD',
    'LetKDIntermediate',
    'LetKDPenultimate',
    'MSE',
    'OFD',
    'SAKDBranch',
    'SAKDMatch',
]
