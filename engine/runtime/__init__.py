"""Run container processes in namespaces, with their file systems, streams and logs. Networks are set up elsewhere.

Because the supervisor (`engine.runtime.supervisor`) must use little memory, the modules that it imports have few
imports. They do not import the module typing: they set ``TYPE_CHECKING`` themselves.
"""
