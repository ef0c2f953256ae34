"""Publish container ports: parse requests, choose host ports, probe the host, and list the ports that are proxied."""
