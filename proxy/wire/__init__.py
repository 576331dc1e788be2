"""One codec per protocol, sans-IO: bytes in, events out; nothing here waits or decides."""
