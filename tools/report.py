#!/usr/bin/env python3
"""Write a report on training runs; ``python -m mmkd.report`` is the same.

tools/report.py work_dirs/teacher work_dirs/student work_dirs/kd --out report
"""

from mmkd.report.command import main

if __name__ == '__main__':
    main()
