"""``hawse trace``: find out whether SOURCE can reach TARGET, and name the cause if not.

The texts use these terms:

- culprit: the cause of a failure, with its place and the remedy (`model.Culprit`)
- hop: one step of the path (`model.Hop`)
- member: an endpoint of a container, together with its network (`JoinedEndpoint`)
- place: a network namespace in which packets start or end (`records.Place`)
- probe: the test packet that a trace sends from the source to the target (`probing`)
"""
