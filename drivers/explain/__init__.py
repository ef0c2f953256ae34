"""Shell commands that equal the drivers' changes: decoded from the drivers' messages to the kernel.

`drivers.explain.recorder` collects the changes. The other modules each translate the messages of one kind of object.
Nothing here changes the kernel.
"""
