"""The Docker Engine API over HTTP, for docker's own command line, compose, docker-py and all other clients.

The service has three kinds of processes. The parent (`api.docker.service`) has one thread, and forks the other two. The
front (`api.docker.front`) answers the clients, with one thread for each connection. A thread reads requests with h11,
and itself answers the requests that change nothing. A worker (`api.docker.workers`) runs one request that changes the
host. A worker is a separate process for three reasons:

- The engine forks, and a process with several threads must not fork.
- An intent is the record of unfinished work, and names the process that does the work. If that process ends too early,
  another process finishes or undoes the work. Each request therefore needs its own process.
- If the kernel kills a worker, no other request fails.
"""
