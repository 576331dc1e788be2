"""The durable account: what was reserved, committed, released; holds; what must survive a restart."""
