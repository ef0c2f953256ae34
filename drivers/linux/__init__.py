"""Access to Linux networking, one kind of kernel object per module: links, addresses, routes, sysctls."""
