"""How commands use the resident agent: they start the agent and notify it of changes. Also defines the interface of the
agent's services.
"""
