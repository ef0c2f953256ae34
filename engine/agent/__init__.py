"""How commands use the resident agent: start it and notify it. Also defines the interface of the agent's services."""
