"""A recording of a teacher: what it said to every view of every image, on disk.

A folder with

- ``meta.json``: what it was made from, and what was recorded;
- ``done.npy``: which blocks of views are written; a killed recording goes on there;
- ``checks.npy``: checksums of views that the teacher saw, one in eight;
- ``0.npy``, ``1.npy``, …: one array (views * images, …) for each level of each path;
- ``0.sums.npy``, …: checksums of their rows.

Row ``v * images + i`` is view v of image i, as in :mod:`mmkd.datasets.views`. Arrays
are mapped into memory: all processes of a machine share what they have read.
"""
