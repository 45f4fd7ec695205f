//! The Redis reservation lease: token, time to live, compare-and-delete, fencing. Knows nothing of stock.
