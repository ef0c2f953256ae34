"""Run container processes in namespaces, with their file systems, streams and logs. Networks are configured
elsewhere.
"""
