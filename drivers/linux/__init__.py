"""What Linux offers, one kernel object a module: links, addresses, routes, namespaces, sysctls."""
