"""All routes of the API. Each module of `api.docker.handlers` has the routes of one group of endpoints."""

from __future__ import annotations

from api.docker.handlers import absent, containers, networks, swarm, system

ROUTES = [
    *system.ROUTES,
    *networks.ROUTES,
    *containers.ROUTES,
    *swarm.ROUTES,
    *absent.ROUTES,
]
