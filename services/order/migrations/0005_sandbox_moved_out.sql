-- The sandbox payment provider is a program of its own now, with its ledger in its own database. What it booked
-- here is forgotten: it never moved money.
DROP TABLE sandbox_charges;
