"""Losses: one paper, one file; ``forward(student, teacher, targets=None)``.

This is their index, by what is compared. The file is called as the method is.
"""
# isort: skip_file

# Class probabilities
from mmkd.losses.kd import KD as KD, BinaryKD as BinaryKD

# Features
from mmkd.losses.at import AT as AT
from mmkd.losses.letkd import LetKDIntermediate as LetKDIntermediate
from mmkd.losses.letkd import LetKDPenultimate as LetKDPenultimate
from mmkd.losses.mse import MSE as MSE
from mmkd.losses.ofd import OFD as OFD
from mmkd.losses.sakd import SAKDBranch as SAKDBranch, SAKDMatch as SAKDMatch

# Relations between images
from mmkd.losses.sp import SP as SP

# Dense prediction
from mmkd.losses.cwd import CWD as CWD
