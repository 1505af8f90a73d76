"""wsbridge: subscribes to acquisitiond and serves any number of WebSocket clients."""
