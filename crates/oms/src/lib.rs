//! The oms command: up, demo, verify, and the services in one process.
