"""Render the /etc/hosts and /etc/resolv.conf files of containers."""
