"""The text of /etc/hosts and /etc/resolv.conf as Docker writes them; where the files are kept is not known here."""
