"""Diagnosis: trace and doctor find the cause of a failure, and map shows networks and containers."""
