//! What the service does with other services' events: it changes its own rows, or inserts a task.
