"""What makes both daemons good services: settings, logging, lifecycle, metrics, sockets."""
