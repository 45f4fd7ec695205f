-- What can be stocked, and where. Neither items nor locations are ever deleted: stock, reservations and the ledger
-- refer to them for good.

CREATE TABLE items (
    sku text CONSTRAINT items_pkey PRIMARY KEY,
    name text NOT NULL,
    -- Outer dimensions of one unit in millimetres and its mass in grams; 0 when not known.
    length_mm bigint NOT NULL,
    width_mm bigint NOT NULL,
    height_mm bigint NOT NULL,
    mass_grams bigint NOT NULL,
    -- False when no new order may take it.
    active boolean NOT NULL,
    -- Version of the aggregate; also the number of its last event.
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT items_sku_length CHECK (char_length(sku) BETWEEN 1 AND 64),
    CONSTRAINT items_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT items_dimensions_not_negative CHECK (length_mm >= 0 AND width_mm >= 0 AND height_mm >= 0),
    CONSTRAINT items_mass_not_negative CHECK (mass_grams >= 0),
    CONSTRAINT items_version_positive CHECK (version > 0)
);

-- A barcode scans as one SKU only.
CREATE TABLE item_barcodes (
    barcode text CONSTRAINT item_barcodes_pkey PRIMARY KEY,
    sku text NOT NULL CONSTRAINT item_barcodes_sku_fkey REFERENCES items (sku),
    CONSTRAINT item_barcodes_barcode_length CHECK (char_length(barcode) BETWEEN 1 AND 64)
);
-- Reads the barcodes of items by SKU.
CREATE INDEX item_barcodes_sku_idx ON item_barcodes (sku);

-- Places of business; their addresses are no personal data.
CREATE TABLE locations (
    location_id text CONSTRAINT locations_pkey PRIMARY KEY,
    name text NOT NULL,
    recipient text NOT NULL,
    address_lines text[] NOT NULL,
    locality text NOT NULL,
    administrative_area text NOT NULL,
    postal_code text NOT NULL,
    country_code text NOT NULL,
    phone text NOT NULL,
    email text NOT NULL,
    -- Degrees north and east.
    latitude double precision NOT NULL,
    longitude double precision NOT NULL,
    -- False when nothing new may be sourced from it.
    active boolean NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT locations_location_id_length CHECK (char_length(location_id) BETWEEN 1 AND 32),
    CONSTRAINT locations_latitude_range CHECK (latitude BETWEEN -90 AND 90),
    CONSTRAINT locations_longitude_range CHECK (longitude BETWEEN -180 AND 180),
    CONSTRAINT locations_version_positive CHECK (version > 0)
);
