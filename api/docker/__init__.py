"""The Docker Engine API over HTTP, for docker's own command line, compose, docker-py and all other clients.

The parent (`api.docker.service`) has one thread, and forks the front and the workers. The front (`api.docker.front`)
has one thread for each connection. The thread reads requests with h11, and answers the requests that change nothing.
Each request that changes the host runs in a worker (`api.docker.workers`), which is a separate process, for three
reasons. The engine forks, which a process with several threads must not do. An intent names the process that does the
work, and is resolved when that process has ended. If the kernel kills a worker, no other request is harmed.
"""
