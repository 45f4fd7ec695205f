//! Tracing and OpenTelemetry: start and stop, context in and out of gRPC metadata and database rows.
