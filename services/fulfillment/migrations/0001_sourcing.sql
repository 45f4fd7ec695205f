-- Sourcing decisions: where an order may be fulfilled from, why, and what came of it. A proposal takes no stock.

CREATE TABLE sourcing_proposals (
    proposal_id uuid CONSTRAINT sourcing_proposals_pkey PRIMARY KEY,
    order_id uuid NOT NULL,
    -- Country and postal code are no personal data; the address stays in the order service.
    country_code text NOT NULL,
    postal_code text NOT NULL,
    fill_policy text NOT NULL,
    service_level text NOT NULL,
    -- Most nodes that may share the order beyond the first.
    splits_max integer NOT NULL,
    -- A single node within this rank that fills everything is taken before any split.
    single_node_within_rank integer NOT NULL,
    -- Name of the rule that decided.
    rule text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT sourcing_proposals_fill_policy_known CHECK (fill_policy IN ('FILL_OR_KILL', 'FILL_ALL', 'FILL_ALL_AVAILABLE')),
    CONSTRAINT sourcing_proposals_service_level_known CHECK (service_level IN ('GROUND', 'TWO_DAY', 'OVERNIGHT', 'SAME_DAY')),
    CONSTRAINT sourcing_proposals_splits_max_range CHECK (splits_max BETWEEN 0 AND 15),
    CONSTRAINT sourcing_proposals_single_node_positive CHECK (single_node_within_rank BETWEEN 1 AND 16)
);
-- Explains an order's decisions.
CREATE INDEX sourcing_proposals_order_idx ON sourcing_proposals (order_id);

-- Every location that was looked at: those in the proposal with their rank, the others with why they lost.
CREATE TABLE sourcing_nodes (
    proposal_id uuid NOT NULL CONSTRAINT sourcing_nodes_proposal_id_fkey REFERENCES sourcing_proposals (proposal_id),
    location_id text NOT NULL,
    -- 1 is the best; null when the node is not in the proposal.
    rank integer,
    distance_km bigint NOT NULL,
    -- Version of the location at inventory that was looked at.
    location_version bigint NOT NULL,
    reason text NOT NULL,
    CONSTRAINT sourcing_nodes_pkey PRIMARY KEY (proposal_id, location_id),
    CONSTRAINT sourcing_nodes_rank_range CHECK (rank BETWEEN 1 AND 16),
    CONSTRAINT sourcing_nodes_rank_key UNIQUE (proposal_id, rank),
    CONSTRAINT sourcing_nodes_distance_not_negative CHECK (distance_km >= 0)
);

-- The demand that was to be sourced. Every ranked node is eligible for every line as yet.
CREATE TABLE sourcing_lines (
    proposal_id uuid NOT NULL CONSTRAINT sourcing_lines_proposal_id_fkey REFERENCES sourcing_proposals (proposal_id),
    line_number integer NOT NULL,
    order_line_id uuid NOT NULL,
    sku text NOT NULL,
    quantity bigint NOT NULL,
    CONSTRAINT sourcing_lines_pkey PRIMARY KEY (proposal_id, line_number),
    CONSTRAINT sourcing_lines_quantity_positive CHECK (quantity > 0)
);

-- What came of a proposal, appended when fulfillment orders are created.
CREATE TABLE sourcing_outcomes (
    proposal_id uuid NOT NULL CONSTRAINT sourcing_outcomes_proposal_id_fkey REFERENCES sourcing_proposals (proposal_id),
    fulfillment_order_line_id uuid NOT NULL,
    order_line_id uuid NOT NULL,
    location_id text NOT NULL,
    quantity bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT sourcing_outcomes_pkey PRIMARY KEY (proposal_id, fulfillment_order_line_id),
    CONSTRAINT sourcing_outcomes_quantity_positive CHECK (quantity > 0)
);
