"""The Docker Engine API over HTTP, for docker's own command line, compose, docker-py and all other clients.

The parent (`api.docker.service`) has one thread, and forks the front and the workers. The front (`api.docker.front`)
has one thread for each connection. The thread reads requests with h11, and answers the requests that change nothing.
Each request that changes the host runs in a worker (`api.docker.workers`), a separate process. There are three reasons:

- The engine forks, and a process with several threads must not fork.
- An intent is the record of unfinished work, and names the process that does the work. If that process ends too early,
  another process finishes or undoes the work. Each request therefore needs its own process.
- If the kernel kills a worker, no other request fails.
"""
