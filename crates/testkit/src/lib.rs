//! Dev only: private engines, a database per test, a mock clock, an OTLP collector tests can read.
