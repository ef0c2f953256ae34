"""Translate the drivers' messages to the kernel into the equivalent shell commands.

`drivers.explain.recorder` collects the changes. Each of the other modules translates the messages about one kind of
object. The translation does not change the kernel.
"""
