"""The agent's cluster service and its threads: one renews the lease, one watches the store, one programs peer
tables.
"""
