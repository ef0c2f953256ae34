"""Network drivers for Linux: one file per driver type.

No other package touches netlink, nftables or /proc/sys.
"""
