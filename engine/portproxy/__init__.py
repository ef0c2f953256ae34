"""The port proxy: copies TCP and UDP data between published ports and containers where NAT is not possible."""
