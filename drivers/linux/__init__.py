"""Access to Linux networking: links, addresses, routes and sysctls, each in a separate module."""
