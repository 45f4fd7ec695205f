//! The shared kernel: money, quantities, typed ids, clock and geography. No async, no I/O.
