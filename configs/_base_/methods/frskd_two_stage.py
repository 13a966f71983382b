# FRSKD (2103.08273), as for one-stage detectors: on the levels of the FPN.
_base_ = './frskd_one_stage.py'
