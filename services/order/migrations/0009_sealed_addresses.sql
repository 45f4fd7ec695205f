-- Personal data is sealed under a key of its customer. Erasing a customer is forgetting the key.

CREATE TABLE data_keys (
    key_id uuid CONSTRAINT data_keys_pkey PRIMARY KEY,
    -- Whose it is: a customer's, or that of one order without a customer.
    customer_id text NOT NULL DEFAULT '',
    order_id uuid,
    -- The key, sealed under a master key that stands outside of the database. Null once it is erased: what remains of the
    -- row is the record of the erasure.
    master_key_id text,
    wrapped bytea,
    created_at timestamptz NOT NULL,
    erased_at timestamptz,
    erased_by text NOT NULL DEFAULT '',
    CONSTRAINT data_keys_of_one CHECK ((customer_id <> '') <> (order_id IS NOT NULL)),
    CONSTRAINT data_keys_erased_is_gone CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL)),
    CONSTRAINT data_keys_wrapped_by_one CHECK ((wrapped IS NULL) = (master_key_id IS NULL))
);
-- One that is in use. A customer who orders again after an erasure has a new one.
CREATE UNIQUE INDEX data_keys_customer_key ON data_keys (customer_id) WHERE customer_id <> '' AND wrapped IS NOT NULL;
CREATE UNIQUE INDEX data_keys_order_key ON data_keys (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX data_keys_erased_idx ON data_keys (customer_id, erased_at) WHERE erased_at IS NOT NULL;
-- Finds what a former master key wrapped.
CREATE INDEX data_keys_master_key_idx ON data_keys (master_key_id) WHERE wrapped IS NOT NULL;

-- Sealed rows have nothing in the columns of the address. Rows of before are sealed by the service, a batch at a time.
ALTER TABLE addresses
    ADD COLUMN key_id uuid CONSTRAINT addresses_key_id_fkey REFERENCES data_keys (key_id),
    ADD COLUMN sealed bytea,
    ALTER COLUMN recipient DROP NOT NULL,
    ALTER COLUMN address_lines DROP NOT NULL,
    ALTER COLUMN locality DROP NOT NULL,
    ALTER COLUMN administrative_area DROP NOT NULL,
    ALTER COLUMN postal_code DROP NOT NULL,
    ALTER COLUMN country_code DROP NOT NULL,
    ALTER COLUMN phone DROP NOT NULL,
    ALTER COLUMN email DROP NOT NULL;
-- Not valid for rows of before, so that nothing waits while the table is read; they are as it says.
ALTER TABLE addresses ADD CONSTRAINT addresses_sealed_or_clear
    CHECK ((sealed IS NULL) = (key_id IS NULL) AND (sealed IS NULL OR coalesce(recipient, locality, administrative_area,
        postal_code, country_code, phone, email, address_lines[1]) IS NULL)) NOT VALID;
CREATE INDEX addresses_clear_idx ON addresses (address_id) WHERE sealed IS NULL;
