"""How Linux does it: one file a driver type, and the only code that touches netlink, nftables and /proc/sys."""
