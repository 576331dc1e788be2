"""Notices to people and signed webhooks, from an outbox that survives a crash, with digests against fatigue."""
