"""Access to Linux networking: links, addresses, routes and sysctls, each in a module of its own."""
