"""The Docker Engine API over HTTP, for docker's own command line, compose, docker-py and all others that speak it.

Two processes serve it. The parent (`api.docker.service`) has one thread; it forks the front and the workers. The front
(`api.docker.front`) has one thread for each connection, which reads requests with h11 and answers what only reads.
Whatever changes the host runs in a worker (`api.docker.workers`), a process of its own for one request, for three
reasons: the engine enters network namespaces, which a thread must not do beside others; an intent names the process
that does the work, and is resolved when that process has ended; and a worker that the kernel kills harms no other
request.
"""
