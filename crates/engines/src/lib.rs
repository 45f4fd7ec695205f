//! Finds, installs and runs a private Postgres and a private Redis.
