# letKD-2 (2309.02843), as for one-stage detectors: in the backbone's last stage.
_base_ = './letkd_one_stage.py'
