"""How commands use the resident agent: commands start the agent, and notify the agent of changes.

Also defines the interface of the agent's services.
"""
