"""Finish or undo the work of killed commands, and restore the host after a reboot."""
