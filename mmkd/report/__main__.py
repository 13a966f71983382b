"""``python -m mmkd.report``."""

from mmkd.report.command import main

if __name__ == '__main__':
    main()
