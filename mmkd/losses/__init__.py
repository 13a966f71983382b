"""Losses: one paper, one file; ``forward(student, teacher, targets=None)``.

This is their index, by what is compared. The file is called as the method is.
"""
# isort: skip_file

# Class probabilities
from mmkd.losses.dist import DIST as DIST, BinaryDIST as BinaryDIST
from mmkd.losses.dkd import DKD as DKD
from mmkd.losses.kd import KD as KD, BinaryKD as BinaryKD
from mmkd.losses.nkd import NKD as NKD
from mmkd.losses.ttm import TTM as TTM, WTTM as WTTM
from mmkd.losses.wsld import WSLD as WSLD

# Features
from mmkd.losses.ab import AB as AB
from mmkd.losses.at import AT as AT
from mmkd.losses.cd import CD as CD, GKD as GKD
from mmkd.losses.ickd import ICKD as ICKD
from mmkd.losses.letkd import LetKDIntermediate as LetKDIntermediate
from mmkd.losses.letkd import LetKDPenultimate as LetKDPenultimate
from mmkd.losses.mse import MSE as MSE
from mmkd.losses.nst import NST as NST
from mmkd.losses.ofd import OFD as OFD
from mmkd.losses.sakd import SAKDBranch as SAKDBranch, SAKDMatch as SAKDMatch
from mmkd.losses.vid import VID as VID
from mmkd.losses.srrl import SRRL as SRRL

# Relations between images
from mmkd.losses.cc import CC as CC
from mmkd.losses.pkt import PKT as PKT
from mmkd.losses.rkd import RKD as RKD
from mmkd.losses.sp import SP as SP

# Dense prediction
from mmkd.losses.cwd import CWD as CWD
from mmkd.losses.nfd import NFD as NFD
from mmkd.losses.pkd import PKD as PKD
