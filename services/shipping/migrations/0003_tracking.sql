-- What carriers reported, append-only. Where a package is follows from here by rank, never by who came last.

CREATE TABLE tracking_events (
    carrier_id text NOT NULL,
    tracking_number text NOT NULL,
    -- The carrier's id of the event, or a hash of it when the carrier gives none.
    carrier_event_id text NOT NULL,
    shipment_id uuid NOT NULL CONSTRAINT tracking_events_shipment_id_fkey REFERENCES shipments (shipment_id),
    package_id uuid NOT NULL CONSTRAINT tracking_events_package_id_fkey REFERENCES packages (package_id),
    status text NOT NULL,
    description text NOT NULL DEFAULT '',
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    -- It moved the package; false when it came late or too late.
    applied boolean NOT NULL,
    actor text NOT NULL,
    CONSTRAINT tracking_events_pkey PRIMARY KEY (carrier_id, tracking_number, carrier_event_id),
    CONSTRAINT tracking_events_status_known CHECK (status IN ('UNKNOWN', 'PRE_TRANSIT', 'IN_TRANSIT', 'OUT_FOR_DELIVERY', 'DELIVERY_ATTEMPTED', 'AVAILABLE_FOR_PICKUP', 'EXCEPTION', 'DELIVERED', 'RETURN_TO_SENDER', 'RETURNED', 'LOST', 'DAMAGED'))
);
CREATE INDEX tracking_events_shipment_idx ON tracking_events (shipment_id, occurred_at, recorded_at);
