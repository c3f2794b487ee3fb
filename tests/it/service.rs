//! What systemd and people at a terminal see of the daemon: readiness, watchdog, signals, ports, folders.
