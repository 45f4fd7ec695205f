-- A secret that signs for an endpoint is sealed under a key of its own, and that key under a master key that stands outside
-- of the database. Both are null for rows of before, whose `sealed` is plain: the service seals them, a batch at a time.
ALTER TABLE webhook_secrets
    ADD COLUMN master_key_id text,
    ADD COLUMN wrapped bytea,
    ADD CONSTRAINT webhook_secrets_wrapped_by_one CHECK ((wrapped IS NULL) = (master_key_id IS NULL));
