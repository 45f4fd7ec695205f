//! Being a good citizen: configuration, gRPC server and client stacks, errors, health, drain, event feed.
