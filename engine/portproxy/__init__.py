"""The port proxy: copies TCP and UDP between published ports and containers that address translation cannot reach."""
