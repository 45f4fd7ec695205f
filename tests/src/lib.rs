//! Whole-suite tests: order to cash, failures, crashes, traces, contract.
