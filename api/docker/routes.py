"""All routes of the API. Each module of `api.docker.handlers` has the routes of one group of endpoints."""

from __future__ import annotations

from api.docker.handlers import (
    absent,
    attach,
    containers,
    exec,
    images,
    logs,
    networks,
    stats,
    swarm,
    system,
    wait,
)

ROUTES = [
    *system.ROUTES,
    *networks.ROUTES,
    *containers.ROUTES,
    *attach.ROUTES,
    *exec.ROUTES,
    *images.ROUTES,
    *logs.ROUTES,
    *stats.ROUTES,
    *wait.ROUTES,
    *swarm.ROUTES,
    *absent.ROUTES,
]
