"""Shell commands that equal what the drivers did: the driver's messages to the kernel, decoded to text.

`drivers.explain.recorder` collects the changes. The other modules each translate the messages of one kind of object.
Nothing here acts on the kernel.
"""
