"""All routes of the API. Each module of `api.docker.handlers` has the routes of one group of endpoints."""

from __future__ import annotations

from api.docker.handlers import containers, networks, system

ROUTES = [
    *system.ROUTES,
    *networks.ROUTES,
    *containers.ROUTES,
]
